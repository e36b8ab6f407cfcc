#pragma once

#include <string>
#include <vector>

#include "wire/encoding.hpp"

namespace muster::aws {

/// Adds a parameter, unless its value is empty.
void put(wire::Parameters& to, std::string name, std::string value);

/// `Name.1`, `Name.2`, …
void put_list(wire::Parameters& to, const std::string& name,
              const std::vector<std::string>& values);

/// Adds filters one by one with the right indices.
class FilterWriter {
 public:
  explicit FilterWriter(wire::Parameters& to) : to_(to) {}
  void add(const std::string& name, const std::vector<std::string>& values);

 private:
  wire::Parameters& to_;
  int count_ = 0;
};

}  // namespace muster::aws
