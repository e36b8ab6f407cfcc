#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/document.hpp"
#include "cli/table.hpp"

// What the daemon answers, as people read it.

namespace muster::cli {

/// The sequence at `key`; empty where there is none.
[[nodiscard]] const std::vector<Node>& items_of(const Node& document, std::string_view key);

/// How a job has ended, as the end of a sentence: `failed`, `was lost`
[[nodiscard]] std::string ending_text(const std::string& outcome);
/// `linux,x64`
[[nodiscard]] std::string joined(const Node* texts);
/// `$3.12`
[[nodiscard]] std::string usd_text(const Node& of, std::string_view key);

[[nodiscard]] Table jobs_table(const Node& document);
[[nodiscard]] Table pools_table(const Node& document);
[[nodiscard]] Table instances_table(const Node& document);
void print_jobs(const Node& document);
void print_pools(const Node& document);
void print_instances(const Node& document);

/// One job: how it stands, then what is known of it.
void print_job(const Node& document);
/// One event, without an end of line.
[[nodiscard]] std::string event_line(const Node& event);
/// Lines of an explanation, the cause first.
[[nodiscard]] std::vector<std::string> explanation_lines(const Node& document);
void print_explanation(const Node& document);

}  // namespace muster::cli
