#include "adapters/docker/docker_engine.hpp"

#include <fmt/format.h>

#include "wire/encoding.hpp"
#include "wire/json.hpp"

namespace muster::docker {
namespace {

constexpr std::string_view kBase = "http://docker/v1.40";
constexpr int kNone = 0;

Node texts(const std::vector<std::string>& values) {
  Node list = Node::sequence();
  for (const std::string& value : values) list.items.push_back(Node::string(value));
  return list;
}

ErrorKind kind_of(int status) {
  if (status == 404) return ErrorKind::not_found;
  if (status == 409) return ErrorKind::conflict;
  return status >= 500 ? ErrorKind::unavailable : ErrorKind::invalid_input;
}

Node mounts_of(const ContainerSpec& spec) {
  Node list = Node::sequence();
  for (const ContainerMount& mount : spec.mounts) {
    Node one = Node::mapping();
    one.set("Type", Node::string(mount.is_volume ? "volume" : "bind"));
    one.set("Source", Node::string(mount.source)).set("Target", Node::string(mount.target));
    one.set("ReadOnly", Node::boolean(mount.is_read_only));
    list.items.push_back(std::move(one));
  }
  return list;
}

/// `repository` and `tag` of an image name: `latest` when there is none.
std::pair<std::string, std::string> split_image(const std::string& image) {
  const std::size_t slash = image.rfind('/');
  const std::size_t colon = image.find(':', slash == std::string::npos ? 0 : slash);
  if (image.find('@') != std::string::npos) return {image, ""};
  if (colon == std::string::npos) return {image, "latest"};
  return {image.substr(0, colon), image.substr(colon + 1)};
}

/// `8080` or `8080/tcp`, as the engine wants it.
std::string port_name(const std::string& port) {
  return port.find('/') == std::string::npos ? port + "/tcp" : port;
}

void set_options(Node& host, Node& body, const ContainerSpec& spec) {
  if (spec.is_privileged) host.set("Privileged", Node::boolean(true));
  if (!spec.dns.empty()) host.set("Dns", texts(spec.dns));
  if (!spec.dns_search.empty()) host.set("DnsSearch", texts(spec.dns_search));
  if (!spec.extra_hosts.empty()) host.set("ExtraHosts", texts(spec.extra_hosts));
  if (spec.shm_bytes > 0) host.set("ShmSize", Node::number(spec.shm_bytes));
  if (spec.memory_bytes > 0) host.set("Memory", Node::number(spec.memory_bytes));
  if (spec.memory_swap_bytes > 0) host.set("MemorySwap", Node::number(spec.memory_swap_bytes));
  if (!spec.tmpfs.empty()) {
    Node tmpfs = Node::mapping();
    for (const ContainerTmpfs& one : spec.tmpfs) {
      tmpfs.set(one.target, Node::string(one.size_bytes_max > 0
                                             ? fmt::format("mode=0700,size={}", one.size_bytes_max)
                                             : std::string("mode=0700")));
    }
    host.set("Tmpfs", std::move(tmpfs));
  }
  Node devices = Node::sequence();
  for (const ContainerDevice& device : spec.devices) {
    Node one = Node::mapping();
    one.set("PathOnHost", Node::string(device.on_machine));
    one.set("PathInContainer", Node::string(device.in_container));
    devices.items.push_back(one.set("CgroupPermissions", Node::string("rwm")));
  }
  if (!spec.devices.empty()) host.set("Devices", std::move(devices));
  if (spec.ports.empty()) return;
  Node exposed = Node::mapping();
  Node bindings = Node::mapping();
  for (const auto& [outer, inner] : spec.ports) {
    exposed.set(port_name(inner), Node::mapping());
    Node binding = Node::mapping();
    binding.set("HostPort", Node::string(outer));
    bindings.set(port_name(inner), Node::sequence({binding}));
  }
  body.set("ExposedPorts", std::move(exposed));
  host.set("PortBindings", std::move(bindings));
}

}  // namespace

Task<Result<Node>> DockerEngine::call(std::string method, std::string path, Node body,
                                      int allowed) {
  HttpRequest request;
  request.method = method;
  request.url = std::string(kBase) + path;
  // Only a pull may take its time.
  const bool is_pull = path.starts_with("/images/create");
  request.time_max = is_pull ? Duration(std::chrono::minutes{20}) : std::chrono::seconds{60};
  if (path == "/version") request.time_max = std::chrono::seconds{5};
  if (!body.is_null()) {
    request.headers = {{"Content-Type", "application/json"}};
    request.body = wire::to_json(body);
  }
  Task<Result<HttpResponse>> sending = transport_.send(std::move(request));
  const Result<HttpResponse> response = co_await std::move(sending);
  if (!response) co_return within("docker", method + " " + path, response.error());
  const bool is_json =
      header_value(response->headers, "content-type").starts_with("application/json");
  // A pull answers with one object a line, each progress or an error.
  const bool is_stream = path.starts_with("/images/create");
  Node document;
  const bool is_error = response->status >= 400;
  if (is_json && (!is_stream || is_error) && !response->body.empty()) {
    Result<Node> read = wire::parse_json(response->body);
    if (!read) co_return within("docker", path, read.error());
    document = std::move(*read);
  }
  const bool is_fine = (response->status >= 200 && response->status < 300) ||
                       response->status == 304 || response->status == allowed;
  if (is_fine) {
    if (is_stream) co_return Node::string(response->body);
    co_return document;
  }
  std::string text = document.text_at({"message"});
  if (text.empty()) text = response->body.substr(0, 500);
  co_return fail(kind_of(response->status), fmt::format("the Docker engine says: {}", text), {},
                 "refused");
}

Task<Status> DockerEngine::ping() {
  Task<Result<Node>> calling = call("GET", "/version", Node{}, kNone);
  const Result<Node> answer = co_await std::move(calling);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  co_return Status();
}

Task<Result<bool>> DockerEngine::has_image(std::string image) {
  Task<Result<Node>> calling = call("GET", "/images/" + image + "/json", Node{}, kNone);
  const Result<Node> answer = co_await std::move(calling);
  if (answer) co_return true;
  if (answer.error().kind == ErrorKind::not_found) co_return false;
  co_return tl::unexpected<Error>(answer.error());
}

Task<Status> DockerEngine::pull(std::string image) {
  const auto [repository, tag] = split_image(image);
  std::string path = "/images/create?fromImage=" + wire::percent_encode(repository);
  if (!tag.empty()) path += "&tag=" + wire::percent_encode(tag);
  Task<Result<Node>> calling = call("POST", std::move(path), Node{}, kNone);
  const Result<Node> answer = co_await std::move(calling);
  if (!answer && answer.error().code.empty()) co_return tl::unexpected<Error>(answer.error());
  if (!answer) {
    co_return fail(ErrorKind::not_found,
                   fmt::format("image {} cannot be pulled: {}", image, answer.error().message),
                   "Check its name, and that the machine reaches the registry.", "E0434");
  }
  std::string_view lines = answer->text;
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    const std::string_view line = lines.substr(0, end);
    lines = end == std::string_view::npos ? std::string_view{} : lines.substr(end + 1);
    const Result<Node> event = wire::parse_json(line);
    if (event && event->find("error") != nullptr) {
      co_return fail(ErrorKind::not_found, fmt::format("image {} cannot be pulled: {}", image,
                                                       event->text_at({"error"})));
    }
  }
  co_return Status();
}

Task<Status> DockerEngine::create_network(std::string name) {
  Node body = Node::mapping();
  body.set("Name", Node::string(name)).set("Driver", Node::string("bridge"));
  body.set("CheckDuplicate", Node::boolean(true));
  Task<Result<Node>> calling = call("POST", "/networks/create", std::move(body), 409);
  const Result<Node> answer = co_await std::move(calling);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  co_return Status();
}

Task<Status> DockerEngine::create_volume(VolumeSpec spec) {
  Node body = Node::mapping();
  body.set("Name", Node::string(spec.name)).set("Driver", Node::string("local"));
  if (spec.is_memory) {
    Node options = Node::mapping();
    options.set("type", Node::string("tmpfs")).set("device", Node::string("tmpfs"));
    options.set("o", Node::string(spec.size_bytes_max > 0
                                      ? fmt::format("mode=0777,size={}", spec.size_bytes_max)
                                      : "mode=0777"));
    body.set("DriverOpts", std::move(options));
  }
  Task<Result<Node>> calling = call("POST", "/volumes/create", std::move(body), kNone);
  const Result<Node> answer = co_await std::move(calling);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  co_return Status();
}

Task<Result<std::string>> DockerEngine::create_container(ContainerSpec spec) {
  Node body = Node::mapping();
  body.set("Image", Node::string(spec.image));
  if (!spec.entrypoint.empty()) body.set("Entrypoint", texts(spec.entrypoint));
  if (!spec.command.empty()) body.set("Cmd", texts(spec.command));
  std::vector<std::string> environment;
  for (const auto& [name, value] : spec.environment) environment.push_back(name + "=" + value);
  body.set("Env", texts(environment));
  if (!spec.folder.empty()) body.set("WorkingDir", Node::string(spec.folder));
  if (!spec.user.empty()) body.set("User", Node::string(spec.user));
  Node labels = Node::mapping();
  for (const auto& [key, value] : spec.labels) labels.set(key, Node::string(value));
  body.set("Labels", std::move(labels));
  Node host = Node::mapping();
  host.set("Mounts", mounts_of(spec)).set("NetworkMode", Node::string(spec.network));
  // The supervisor on the machine attaches before the start and keeps the output itself.
  Node log = Node::mapping();
  log.set("Type", Node::string("none"));
  host.set("LogConfig", std::move(log));
  set_options(host, body, spec);
  body.set("HostConfig", std::move(host));
  if (!spec.alias.empty()) {
    Node aliases = Node::mapping();
    aliases.set("Aliases", texts({spec.alias}));
    Node endpoints = Node::mapping();
    endpoints.set(spec.network, std::move(aliases));
    Node networking = Node::mapping();
    networking.set("EndpointsConfig", std::move(endpoints));
    body.set("NetworkingConfig", std::move(networking));
  }
  Task<Result<Node>> calling = call(
      "POST", "/containers/create?name=" + wire::percent_encode(spec.name), std::move(body), kNone);
  const Result<Node> answer = co_await std::move(calling);
  if (answer) co_return answer->text_at({"Id"});
  if (answer.error().kind != ErrorKind::conflict) co_return tl::unexpected<Error>(answer.error());
  co_return spec.name;  // Made by an earlier try; the name serves as id.
}

Task<Result<ContainerState>> DockerEngine::inspect(std::string id) {
  Task<Result<Node>> calling = call("GET", "/containers/" + id + "/json", Node{}, kNone);
  const Result<Node> answer = co_await std::move(calling);
  if (!answer) co_return tl::unexpected<Error>(answer.error());
  ContainerState state;
  state.is_running = answer->text_at({"State", "Running"}) == "true";
  state.has_started = !answer->text_at({"State", "StartedAt"}).starts_with("0001-");
  state.was_out_of_memory = answer->text_at({"State", "OOMKilled"}) == "true";
  state.exit_code =
      static_cast<int>(parse_integer(answer->text_at({"State", "ExitCode"})).value_or(255));
  state.error = answer->text_at({"State", "Error"});
  co_return state;
}

Task<Status> DockerEngine::kill(std::string id) {
  Task<Result<Node>> calling = call("POST", "/containers/" + id + "/kill", Node{}, 409);
  const Result<Node> answer = co_await std::move(calling);
  if (!answer && answer.error().kind != ErrorKind::not_found) {
    co_return tl::unexpected<Error>(answer.error());
  }
  co_return Status();
}

}  // namespace muster::docker
