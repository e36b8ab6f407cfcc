#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/document.hpp"
#include "ports/http.hpp"
#include "ports/submit_store.hpp"
#include "service/api_tokens.hpp"
#include "service/control_loop.hpp"
#include "service/job_logs.hpp"
#include "service/journal.hpp"
#include "service/metrics.hpp"

namespace muster {

/// The REST API of a daemon, below `/api/v1`. What is not allowed is refused; every answer is JSON
/// with a `schema` (but `/metrics`, which is Prometheus' text, and `/events/stream`, which is
/// server-sent events), every refusal has `error.code`, `error.message` and `error.remedy`.
class Api : public HttpHandler {
 public:
  struct Parts {
    ControlLoop& loop;
    SubmitStore& submitted;
    const JobLogReader& logs;
    Journal& journal;
    Metrics& metrics;
    ApiTokens& tokens;
    /// Who is at the other end. Errors: unauthenticated, forbidden, throttled.
    std::function<Result<ApiCaller>(const HttpServerRequest&)> authenticate;
    /// Reads the configuration again. Errors: those of the file; the old one stays then.
    std::function<Result<Config>()> reload;
  };
  explicit Api(Parts parts) : parts_(std::move(parts)) {}

  Task<HttpServerResponse> handle(HttpServerRequest request) override;
  [[nodiscard]] HttpServerResponse answer_unreadable(int status,
                                                     const std::string& why) const override;

  /// Every route, as an OpenAPI 3.1 document.
  [[nodiscard]] static Node openapi();

  struct Call;

 private:
  void note_refused(const HttpServerRequest& request, const Error& error);
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
  Task<Result<Node>> interrupt_instance(Call* call, InstanceId id);
  Task<Result<Node>> show_ssh(Call* call);
  Task<Result<Node>> list_events(Call* call);
  Task<Result<Node>> stream_events(Call* call);
  Task<std::string> next_events(HttpServerRequest request, std::uint64_t* after);
  Task<Result<Node>> show_metrics(Call* call);
  Task<Result<Node>> list_tokens(Call* call);
  Task<Result<Node>> create_token(Call* call);
  Task<Result<Node>> revoke_token(Call* call);
  Task<Result<Node>> show_status(Call* call);
  Task<Result<Node>> reload(Call* call);
  Task<Result<Node>> describe(Call* call);
  [[nodiscard]] Node instances_document(const std::vector<InstanceId>& ids) const;
  [[nodiscard]] tl::unexpected<Error> no_such_pool(const std::string& name) const;
  [[nodiscard]] Result<JobId> find_job(const std::string& id) const;
  [[nodiscard]] Result<InstanceId> find_instance(const std::string& id) const;

  struct Route;
  static const std::vector<Route>& routes();

  Parts parts_;
  std::optional<TimePoint> refusal_told_at_;
  long refusals_untold_ = 0;                                 // Since then.
  std::shared_ptr<int> streams_ = std::make_shared<int>(0);  // That are open.
};

}  // namespace muster
