#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ec2model/model.hpp"
#include "ec2sim/parameters.hpp"
#include "wire/xml.hpp"

namespace ec2sim {

/// What an action may need beside the model.
struct Surroundings {
  std::function<std::string(const std::string& instance_id)> console;
  /// The value of an SSM parameter, by name or ARN.
  std::function<Answer<std::string>(ec2model::Model& model, const std::string& name)> parameter;
  /// The same account's model of another region; null if there is none.
  std::function<ec2model::Model*(const ec2model::Model& model, const std::string& region)> region;
};

/// One call of EC2: its parameters, checked by name, and what stands before it.
struct Call {
  const std::string& action;
  const Parameters& given;
  const ec2model::Gate& gate;
  ec2model::Model& model;
  const Surroundings& around;
  muster::TimePoint now;
};

/// An action answers the members of its response.
struct Action {
  using Run = Answer<std::string> (*)(const Call&);

  Run run = nullptr;
  std::vector<std::string_view> known{};
  std::vector<std::string_view> required{};
  bool has_unfiltered_bucket = false;  ///< A smaller bucket without filter, ids and MaxResults.
};

using ActionTable = std::map<std::string, Action>;

// One table a topic; ec2_api.cpp joins them.
[[nodiscard]] ActionTable instance_actions();
[[nodiscard]] ActionTable fleet_actions();
[[nodiscard]] ActionTable lifecycle_actions();
[[nodiscard]] ActionTable tag_actions();
[[nodiscard]] ActionTable key_actions();
[[nodiscard]] ActionTable template_actions();
[[nodiscard]] ActionTable image_actions();
[[nodiscard]] ActionTable network_actions();
[[nodiscard]] ActionTable group_actions();
[[nodiscard]] ActionTable storage_actions();
[[nodiscard]] ActionTable catalog_actions();
[[nodiscard]] ActionTable spot_actions();

/// `more` and what every listing knows: filters and pages.
[[nodiscard]] std::vector<std::string_view> paged(std::vector<std::string_view> more);
/// `more` and `TagSpecification.N`.
[[nodiscard]] std::vector<std::string_view> tagged(std::vector<std::string_view> more);

/// The bounds of `MaxResults`, and the listing's ids, which exclude it.
struct PageRule {
  int smallest = 5;
  int largest = 1000;
  bool has_ids = false;
  std::string ids_name = "ids";
};

/// What a token remembers of each item, in ascending order: the next page goes on behind it,
/// whatever has left the listing meanwhile. Where neither number nor id ascends it is the place.
template <class T>
std::vector<std::string> page_keys(const std::vector<T>& found) {
  std::vector<std::string> keys;
  for (const T& item : found) {
    if constexpr (requires { fmt::format("{:09}", item->number); }) {
      keys.push_back(fmt::format("{:09}", item->number));
    } else if constexpr (requires { item->id; }) {
      keys.push_back(item->id);
    }
  }
  const bool ascends =
      std::adjacent_find(keys.begin(), keys.end(), std::greater_equal<>{}) == keys.end();
  if (ascends && keys.size() == found.size()) return keys;
  keys.clear();
  for (std::size_t i = 0; i < found.size(); ++i) keys.push_back(fmt::format("{:09}", i));
  return keys;
}

struct Page {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string next_token;
};

/// Refuses a `MaxResults` that cannot be, before anything is looked up.
[[nodiscard]] Answer<void> check_page(const Call& call, const PageRule& rule);

[[nodiscard]] Answer<Page> page_of(const Call& call, const std::vector<std::string>& keys);

/// `<set><item>…</item>…</set>` of one page of what was found, and the token of the next.
template <class T, class Write>
Answer<std::string> list_page(const Call& call, std::string_view set,
                              const Answer<std::vector<T>>& found, const PageRule& rule,
                              const Write& write) {
  if (auto fine = check_page(call, rule); !fine) return ec2model::again(fine);
  if (!found) return ec2model::again(found);
  const Answer<Page> page = page_of(call, page_keys(*found));
  if (!page) return ec2model::again(page);
  if (auto open = call.gate.pass(); !open) return ec2model::again(open);
  muster::wire::XmlWriter out;
  out.open(set);
  for (std::size_t i = page->begin; i < page->end; ++i) {
    out.open("item");
    write(out, (*found)[i]);
    out.close();
  }
  out.close();
  if (!page->next_token.empty()) out.text("nextToken", page->next_token);
  return out.take();
}

/// `<return>true</return>`, if it went well.
[[nodiscard]] Answer<std::string> done(const Answer<void>& answer);

/// The parameters of a launch with its template below them, and the tags that tell of it.
struct MergedLaunch {
  Parameters parameters;
  ec2model::Tags system_tags;
};
[[nodiscard]] Answer<MergedLaunch> with_template(const Call& call, const Parameters& given);

/// `ImageId=resolve:ssm:NAME` becomes the image that the parameter names.
[[nodiscard]] Answer<Parameters> with_resolved_image(const Call& call, const Parameters& given);

}  // namespace ec2sim
