#include "adapters/aws/query_form.hpp"

#include <fmt/format.h>

namespace muster::aws {

void put(wire::Parameters& to, std::string name, std::string value) {
  if (!value.empty()) to.emplace_back(std::move(name), std::move(value));
}

void put_list(wire::Parameters& to, const std::string& name,
              const std::vector<std::string>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    to.emplace_back(fmt::format("{}.{}", name, i + 1), values[i]);
  }
}

void FilterWriter::add(const std::string& name, const std::vector<std::string>& values) {
  ++count_;
  to_.emplace_back(fmt::format("Filter.{}.Name", count_), name);
  put_list(to_, fmt::format("Filter.{}.Value", count_), values);
}

}  // namespace muster::aws
