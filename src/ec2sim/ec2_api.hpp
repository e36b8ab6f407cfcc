#pragma once

#include <functional>
#include <string>

#include "base/log.hpp"
#include "ec2model/model.hpp"
#include "ec2sim/authenticator.hpp"
#include "ec2sim/parameters.hpp"
#include "ports/clock.hpp"
#include "ports/http.hpp"

namespace ec2sim {

/// EC2's Query protocol in front of the model: signatures, parameters, XML, errors.
class Ec2Api : public muster::HttpHandler {
 public:
  using ConsoleReader = std::function<std::string(const std::string& instance_id)>;
  using CallObserver =
      std::function<void(const std::string& action, const std::string& error_code)>;

  Ec2Api(ec2model::Model& model, const Authenticator& authenticator, muster::Clock& clock,
         ConsoleReader console, CallObserver observer);

  muster::Task<muster::HttpServerResponse> handle(muster::HttpServerRequest request) override;

 private:
  using Action = Answer<std::string> (Ec2Api::*)(const Parameters&, const ec2model::Gate&);
  struct Entry {
    Action run;
    std::vector<std::string_view> known;
    std::vector<std::string_view> required;
    bool is_refused_unfiltered =
        false;  ///< A bucket of its own without filter, ids and MaxResults.
  };

  static const std::map<std::string, Entry>& actions();
  Answer<std::string> answer(const muster::HttpServerRequest& request, std::string& action);

  Answer<std::string> run_instances(const Parameters& given, const ec2model::Gate& gate);
  Answer<std::string> describe_instances(const Parameters& given, const ec2model::Gate& gate);
  Answer<std::string> terminate_instances(const Parameters& given, const ec2model::Gate& gate);
  Answer<std::string> create_tags(const Parameters& given, const ec2model::Gate& gate);
  Answer<std::string> describe_images(const Parameters& given, const ec2model::Gate& gate);
  Answer<std::string> describe_subnets(const Parameters& given, const ec2model::Gate& gate);
  Answer<std::string> describe_security_groups(const Parameters& given, const ec2model::Gate& gate);
  Answer<std::string> get_console_output(const Parameters& given, const ec2model::Gate& gate);

  /// Which items of a listing a page holds, and the token of the next.
  struct Page {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::string next_token;
  };
  Answer<Page> page_of(const Parameters& given, std::size_t count, int smallest, int largest,
                       bool has_ids, const std::string& ids_name) const;

  ec2model::Model& model_;
  const Authenticator& authenticator_;
  muster::Clock& clock_;
  ConsoleReader console_;
  CallObserver observer_;
};

/// Reads RunInstances' parameters into the model's request; what is wrong in form is refused.
[[nodiscard]] Answer<ec2model::LaunchRequest> read_launch(const Parameters& given);

}  // namespace ec2sim
