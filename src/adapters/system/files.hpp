#pragma once

#include <string>

#include "base/result.hpp"

namespace muster::system {

/// The whole file. Errors: not_found, forbidden, invalid_input (over the limit), unavailable.
[[nodiscard]] Result<std::string> read_file(const std::string& path,
                                            std::size_t bytes_max = 16 << 20);

/// All of standard input. Errors: invalid_input (over the limit).
[[nodiscard]] Result<std::string> read_standard_input(std::size_t bytes_max);

/// Writes a file that appears whole or not at all and survives power loss; folders are made.
[[nodiscard]] Status write_file(const std::string& path, const std::string& bytes, int mode);

/// Writes the file unless it exists; gives what then stands there. Safe against another process
/// that does the same.
[[nodiscard]] Result<std::string> read_or_create(const std::string& path, const std::string& bytes,
                                                 int mode);

}  // namespace muster::system
