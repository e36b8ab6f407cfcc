#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace muster::cli {

enum ExitCode {
  kDone = 0,
  kFailed = 1,
  kWrongUse = 2,
  kRefused = 3,
  kUnreachable = 4,
  kBug = 5,
  kInterrupted = 130,
};

/// A failure that has a page of its own in `muster help`.
struct ErrorPage {
  std::string_view code;  ///< `E0412`
  std::string_view title;
  std::string_view cause;
  std::string_view check;
  std::string_view remedy;
};

/// The page of a code, or null.
[[nodiscard]] const ErrorPage* find_page(std::string_view code);

/// The stable code of an error: its own, or that of its kind.
[[nodiscard]] std::string code_of(const Error& error);

[[nodiscard]] int exit_code_of(const Error& error);

/// Says on standard error what is wrong and what to do next; gives the exit code.
int report(const Error& error);

/// All pages as `docs/errors.md`.
[[nodiscard]] std::string pages_as_markdown();

}  // namespace muster::cli
