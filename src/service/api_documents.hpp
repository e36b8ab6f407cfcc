#pragma once

#include "base/document.hpp"
#include "fleet/explain.hpp"
#include "service/api_tokens.hpp"
#include "service/job_logs.hpp"
#include "service/journal.hpp"
#include "service/metrics.hpp"

// What the API shows, as documents.

namespace muster {

[[nodiscard]] Node document_of(const Job& job, const Fleet& fleet, TimePoint now);
[[nodiscard]] Node document_of(const Instance& instance, const Fleet& fleet, TimePoint now);
[[nodiscard]] Node document_of(const Explanation& explanation);
[[nodiscard]] Node document_of(const JournalEntry& entry);
[[nodiscard]] Node document_of(const StepLog& step);
[[nodiscard]] Node document_of(const ApiToken& token);
/// A pool with its counts.
[[nodiscard]] Node document_of(const Pool& pool, const Controller& controller,
                               const Metrics& metrics, TimePoint now);

/// A time, or null for none.
[[nodiscard]] Node time_node(TimePoint at);
[[nodiscard]] Node dollars_node(double usd);
[[nodiscard]] Node strings_node(const std::vector<std::string>& texts);

}  // namespace muster
