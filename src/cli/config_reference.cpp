#include "cli/config_reference.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "fleet/config_keys.hpp"
#include "wire/json.hpp"

namespace muster::cli {
namespace {

using Kind = KeyShape::Kind;

Node types_of(std::initializer_list<const char*> names) {
  Node types = Node::sequence();
  for (const char* name : names) types.items.push_back(Node::string(name));
  return types;
}

Node one_of(const std::vector<std::string>& words) {
  Node list = Node::sequence();
  for (const std::string& word : words) list.items.push_back(Node::string(word));
  return list;
}

Node schema_of_object(const std::vector<KeyShape>& members,
                      const std::vector<std::vector<std::string>>& needs);

Node schema_of(const KeyShape& shape) {
  Node out = Node::mapping();
  out.set("description", Node::string(shape.help));
  switch (shape.kind) {
    case Kind::text:
      if (!shape.may_be_number) out.set("type", Node::string("string"));
      if (shape.may_be_number) out.set("type", types_of({"string", "number"}));
      if (!shape.choices.empty()) out.set("enum", one_of(shape.choices));
      if (shape.is_needed) out.set("minLength", Node::number(1));
      break;
    case Kind::integer:
      out.set("type", Node::string("integer"));
      out.set("minimum", Node::number(shape.smallest));
      out.set("maximum", Node::number(shape.largest));
      break;
    case Kind::boolean: out.set("type", Node::string("boolean")); break;
    case Kind::duration:
      out.set("type", Node::string("string"));
      out.set("pattern", Node::string("^[0-9]+(ms|s|m|min|h|d)$"));
      break;
    case Kind::texts: {
      Node items = Node::mapping();
      items.set("type", types_of({"string", "number"}));
      out.set("type", types_of({"array", "string"})).set("items", std::move(items));
      if (shape.is_needed) out.set("minItems", Node::number(1)).set("minLength", Node::number(1));
      break;
    }
    case Kind::text_map: {
      Node values = Node::mapping();
      values.set("type", types_of({"string", "number", "boolean"}));
      out.set("type", Node::string("object")).set("additionalProperties", std::move(values));
      break;
    }
    case Kind::object:
    case Kind::objects: {
      Node object = schema_of_object(shape.members, shape.needs);
      if (shape.kind == Kind::object) {
        for (Member& member : object.members) out.set(member.key, std::move(member.value));
        break;
      }
      Node names = Node::mapping();
      names.set("pattern", Node::string("^[A-Za-z0-9._-]{1,60}$"));
      out.set("type", Node::string("object")).set("propertyNames", std::move(names));
      out.set("additionalProperties", std::move(object));
      break;
    }
  }
  const bool has_default = shape.absent.empty() && !shape.fallback.is_null() &&
                           shape.kind != Kind::object && shape.kind != Kind::objects;
  if (has_default) out.set("default", shape.fallback);
  return out;
}

Node schema_of_object(const std::vector<KeyShape>& members,
                      const std::vector<std::vector<std::string>>& needs) {
  Node properties = Node::mapping();
  for (const KeyShape& shape : members) properties.set(shape.name, schema_of(shape));
  Node out = Node::mapping();
  out.set("type", Node::string("object")).set("additionalProperties", Node::boolean(false));
  out.set("properties", std::move(properties));
  if (needs.empty()) return out;
  Node alternatives = Node::sequence();
  for (const auto& names : needs) {
    Node alternative = Node::mapping();
    alternative.set("required", one_of(names));
    alternatives.items.push_back(std::move(alternative));
  }
  return out.set("anyOf", std::move(alternatives));
}

std::string value_of(const KeyShape& shape) {
  switch (shape.kind) {
    case Kind::text:
      return shape.choices.empty() ? "text" : fmt::format("`{}`", fmt::join(shape.choices, "`, `"));
    case Kind::integer: return fmt::format("{} to {}", shape.smallest, shape.largest);
    case Kind::boolean: return "`true`, `false`";
    case Kind::duration:
      return fmt::format("`{}` to `{}`", duration_text(std::chrono::seconds{shape.smallest}),
                         duration_text(std::chrono::seconds{shape.largest}));
    case Kind::texts: return "list of texts";
    case Kind::text_map: return "texts by name";
    case Kind::object:
    case Kind::objects: return "see below";
  }
  return "";
}

std::string default_of(const KeyShape& shape) {
  if (!shape.absent.empty()) return shape.absent;
  if (shape.kind == Kind::object) return "none";
  return shape.fallback.text.empty() ? "none" : fmt::format("`{}`", shape.fallback.text);
}

void put_keys(std::string& out, const std::string& title, const std::vector<KeyShape>& shapes) {
  out += fmt::format("\n## {}\n\n| key | value | default | meaning |\n|---|---|---|---|\n", title);
  for (const KeyShape& shape : shapes) {
    out += fmt::format("| `{}` | {} | {} | {} |\n", shape.name, value_of(shape), default_of(shape),
                       shape.help);
  }
}

void put_sections(std::string& out, const std::string& path, const std::vector<KeyShape>& shapes) {
  for (const KeyShape& shape : shapes) {
    if (shape.kind != Kind::object && shape.kind != Kind::objects) continue;
    const std::string own =
        path + shape.name + (shape.kind == Kind::objects ? ".NAME" : std::string());
    put_keys(out, fmt::format("`{}`", own), shape.members);
    put_sections(out, own + ".", shape.members);
  }
}

constexpr std::string_view kIntroduction = R"(# Configuration

`muster.yml` is looked for in the current folder; `--config` or `MUSTER_CONFIG` name another. All problems
are shown at once, with line, column, value and remedy. A pool of four lines works:

```yaml
pools:
  linux:
    image: debian-12-amd64-docker
    types: [t3.large]
```

This page is what `muster config reference` prints. `muster config schema` prints the same as JSON Schema:
save it beside `muster.yml`, and with `# yaml-language-server: $schema=muster.schema.json` as the first
line an editor completes and checks while you type.

A pool of a launch template takes all from it that it does not say itself. User data, tags, the answer to a
shutdown and the rules for instance metadata are always muster's. The template must leave the market
(spot or not) to muster.

```yaml
pools:
  linux:
    launch_template: {name: ci-linux, version: $Latest}
    types: [m7i.large, m7a.large]
```
)";

struct Variable {
  std::string_view name;
  std::string_view meaning;
};

constexpr std::array<Variable, 8> kVariables{{
    {"`MUSTER_CONFIG`", "the configuration file"},
    {"`MUSTER_URL`",
     "ask the daemon at this address, such as `https://muster.example.org`, instead of the local "
     "one"},
    {"`MUSTER_TOKEN_FILE`", "a file that holds the token for it (`muster token create`)"},
    {"`MUSTER_STATE`",
     "folder of the store and the cluster's secret; else `XDG_STATE_HOME/muster`, else "
     "`~/.local/state/muster`"},
    {"`AWS_*`",
     "credentials, profile, region and endpoints as AWS's tools read them: environment, web "
     "identity, profiles with roles, `credential_process`, container and instance metadata, each "
     "refreshed before it expires; single sign-on is refused with the command that helps"},
    {"`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`", "as usual"},
    {"`AWS_CA_BUNDLE`", "file of the certificate authorities to trust in place of the system's"},
    {"`NO_COLOR`", "no colour"},
}};

}  // namespace

std::string config_schema() {
  Node out = Node::mapping();
  out.set("$schema", Node::string("https://json-schema.org/draft/2020-12/schema"));
  out.set("title", Node::string("muster.yml"));
  const Node object = schema_of_object(config_keys().shapes(), config_keys().needs());
  for (const Member& member : object.members) out.set(member.key, member.value);
  return wire::to_json(out, 2) + "\n";
}

std::string config_reference() {
  std::string out(kIntroduction);
  put_keys(out, "The file", config_keys().shapes());
  put_sections(out, "", config_keys().shapes());
  out += fmt::format("\nRefused until they work: `{}` of a pool, `{}` of the file.\n",
                     fmt::join(pool_keys().later_names(), "`, `"),
                     fmt::join(config_keys().later_names(), "`, `"));
  out += "\n## Environment\n\n| variable | meaning |\n|---|---|\n";
  for (const Variable& variable : kVariables) {
    out += fmt::format("| {} | {} |\n", variable.name, variable.meaning);
  }
  return out;
}

}  // namespace muster::cli
