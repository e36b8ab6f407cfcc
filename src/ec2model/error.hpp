#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace ec2model {

/// A refusal as EC2 words it: its code, HTTP status and text.
struct Ec2Error {
  std::string code;
  int status = 400;
  std::string message;
};

template <class T>
using Answer = tl::expected<T, Ec2Error>;

[[nodiscard]] inline tl::unexpected<Ec2Error> refuse(std::string code, std::string message,
                                                     int status = 400) {
  return tl::unexpected<Ec2Error>(Ec2Error{std::move(code), status, std::move(message)});
}

/// Passes a refusal on as the answer of another type.
template <class T>
[[nodiscard]] tl::unexpected<Ec2Error> again(const Answer<T>& refused) {
  return tl::unexpected<Ec2Error>(refused.error());
}

}  // namespace ec2model
