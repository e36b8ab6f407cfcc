#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/document.hpp"
#include "ports/http.hpp"
#include "ports/submit_store.hpp"
#include "service/control_loop.hpp"
#include "service/job_logs.hpp"
#include "service/journal.hpp"
#include "service/metrics.hpp"

namespace muster {

/// What a caller may do; each may do all that those before it may.
enum class ApiRole { none, viewer, operator_ };

/// Who asks, as the server has found out.
struct ApiCaller {
  std::string name;
  ApiRole role = ApiRole::none;
};

/// The REST API of a daemon, below `/api/v1`. What is not allowed is refused; every answer is JSON
/// with a `schema` (but `/metrics`, which is Prometheus' text), every refusal has `error.code`,
/// `error.message` and `error.remedy`.
class Api : public HttpHandler {
 public:
  struct Parts {
    ControlLoop& loop;
    SubmitStore& submitted;
    const JobLogReader& logs;
    Journal& journal;
    const Metrics& metrics;
    /// Who is at the other end. Default: nobody.
    std::function<ApiCaller(const HttpServerRequest&)> authenticate;
    /// Reads the configuration again. Errors: those of the file; the old one stays then.
    std::function<Result<Config>()> reload;
  };
  explicit Api(Parts parts) : parts_(std::move(parts)) {}

  Task<HttpServerResponse> handle(HttpServerRequest request) override;

  /// Every route, as an OpenAPI 3.1 document.
  [[nodiscard]] static Node openapi();

  struct Call;

 private:
  Task<Result<Node>> answer(Call* call);
  Task<Result<Node>> list_jobs(Call* call);
  Task<Result<Node>> show_job(Call* call);
  Task<Result<Node>> explain_job(Call* call);
  Task<Result<Node>> list_steps(Call* call);
  Task<Result<Node>> read_log(Call* call);
  Task<Result<Node>> cancel_job(Call* call);
  Task<Result<Node>> list_pools(Call* call);
  Task<Result<Node>> order_pool(Call* call);
  Task<Result<Node>> list_instances(Call* call);
  Task<Result<Node>> order_instance(Call* call);
  Task<Result<Node>> list_events(Call* call);
  Task<Result<Node>> show_status(Call* call);
  Task<Result<Node>> reload(Call* call);
  Task<Result<Node>> describe(Call* call);
  [[nodiscard]] Result<JobId> find_job(const std::string& id) const;
  [[nodiscard]] Result<InstanceId> find_instance(const std::string& id) const;

  struct Route;
  static const std::vector<Route>& routes();

  Parts parts_;
};

}  // namespace muster
