#pragma once

#include <array>
#include <string_view>

namespace muster::sqlite {

/// Each step from one version of the schema to the next. What was released is never changed.
inline constexpr std::array<std::string_view, 5> kMigrations{
    "CREATE TABLE launch_intent ("
    " id TEXT PRIMARY KEY, run TEXT NOT NULL, cluster TEXT NOT NULL, pool TEXT NOT NULL,"
    " region TEXT NOT NULL, action TEXT NOT NULL, body TEXT NOT NULL, token TEXT NOT NULL,"
    " state TEXT NOT NULL, instances TEXT NOT NULL, created_at TEXT NOT NULL) STRICT;"
    "CREATE INDEX launch_intent_owing ON launch_intent (created_at)"
    " WHERE state IN ('open', 'launched');",

    "CREATE TABLE run ("
    " id TEXT PRIMARY KEY, state TEXT NOT NULL, sealed TEXT NOT NULL, host_keys TEXT NOT NULL,"
    " created_at TEXT NOT NULL) STRICT;"
    "CREATE TABLE run_step ("
    " run TEXT NOT NULL, number INTEGER NOT NULL, has_ended INTEGER NOT NULL,"
    " outcome INTEGER NOT NULL, exit_code INTEGER NOT NULL, error TEXT NOT NULL,"
    " took_ns INTEGER NOT NULL, PRIMARY KEY (run, number)) STRICT;",

    // Times are nanoseconds since 1970, lists are lines.
    "CREATE TABLE fleet_job ("
    " id TEXT PRIMARY KEY, source TEXT NOT NULL, labels TEXT NOT NULL, repository TEXT NOT NULL,"
    " tenant TEXT NOT NULL, priority INTEGER NOT NULL, queued_at INTEGER NOT NULL,"
    " time_max INTEGER NOT NULL, state TEXT NOT NULL, lease TEXT NOT NULL,"
    " lease_count INTEGER NOT NULL, outcome INTEGER NOT NULL, exit_code INTEGER NOT NULL,"
    " reason TEXT NOT NULL, changed_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE fleet_instance ("
    " id TEXT PRIMARY KEY, intent TEXT NOT NULL, pool TEXT NOT NULL, size TEXT NOT NULL,"
    " type TEXT NOT NULL, capacity TEXT NOT NULL, subnet TEXT NOT NULL, zone TEXT NOT NULL,"
    " phase TEXT NOT NULL, launched_at INTEGER NOT NULL, phase_since INTEGER NOT NULL,"
    " lease TEXT NOT NULL, job_count INTEGER NOT NULL, address TEXT NOT NULL,"
    " host_keys TEXT NOT NULL, settings TEXT NOT NULL, reason TEXT NOT NULL,"
    " usd_per_hour REAL NOT NULL, is_adopted INTEGER NOT NULL, is_hedge INTEGER NOT NULL,"
    " vcpus INTEGER NOT NULL, is_protected INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE TABLE fleet_lease ("
    " id TEXT PRIMARY KEY, job TEXT NOT NULL, instance TEXT NOT NULL, state TEXT NOT NULL,"
    " created_at INTEGER NOT NULL, started_at INTEGER NOT NULL, outcome INTEGER NOT NULL,"
    " exit_code INTEGER NOT NULL, reason TEXT NOT NULL, is_cancelled INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE TABLE fleet_intent ("
    " id TEXT PRIMARY KEY, pool TEXT NOT NULL, size TEXT NOT NULL, offerings TEXT NOT NULL,"
    " is_fleet INTEGER NOT NULL, count INTEGER NOT NULL, state TEXT NOT NULL,"
    " created_at INTEGER NOT NULL, reason TEXT NOT NULL, is_hedge INTEGER NOT NULL,"
    " usd_per_hour REAL NOT NULL, action TEXT NOT NULL, body TEXT NOT NULL,"
    " vcpus INTEGER NOT NULL) STRICT,"
    " WITHOUT ROWID;"
    "CREATE TABLE fleet_clock (one INTEGER PRIMARY KEY, boot TEXT NOT NULL,"
    " began INTEGER NOT NULL) STRICT;"
    "CREATE TABLE fleet_day (day INTEGER PRIMARY KEY, usd_settled REAL NOT NULL) STRICT;"
    "CREATE TABLE submitted_job ("
    " id TEXT PRIMARY KEY, state TEXT NOT NULL, labels TEXT NOT NULL, repository TEXT NOT NULL,"
    " priority INTEGER NOT NULL, time_max INTEGER NOT NULL, sealed TEXT NOT NULL,"
    " created_at INTEGER NOT NULL, lease TEXT NOT NULL, instance TEXT NOT NULL,"
    " outcome INTEGER NOT NULL, exit_code INTEGER NOT NULL, reason TEXT NOT NULL,"
    " ended_at INTEGER NOT NULL) STRICT;"
    "CREATE INDEX submitted_job_open ON submitted_job (created_at) WHERE ended_at = 0;",

    "CREATE TABLE fleet_pool ("
    " pool TEXT PRIMARY KEY, mode TEXT NOT NULL, since INTEGER NOT NULL, who TEXT NOT NULL,"
    " why TEXT NOT NULL) STRICT, WITHOUT ROWID;",

    // A job that has ended still says where it ran and when it began.
    "ALTER TABLE fleet_job ADD COLUMN instance TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE fleet_job ADD COLUMN started_at INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE api_token ("
    " name TEXT PRIMARY KEY, role TEXT NOT NULL, hash TEXT NOT NULL, created_by TEXT NOT NULL,"
    " created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"};

}  // namespace muster::sqlite
