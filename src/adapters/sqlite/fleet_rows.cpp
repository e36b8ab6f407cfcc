#include "adapters/sqlite/fleet_rows.hpp"

#include <fmt/format.h>

#include <array>

namespace muster::sqlite {
namespace {

std::int64_t count_of(TimePoint time) { return time.time_since_epoch().count(); }
TimePoint time_of(std::int64_t count) { return TimePoint{Duration{count}}; }
int int_of(std::int64_t value) { return static_cast<int>(value); }

std::string join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::vector<std::string> split(const std::string& text, char at = '\n') {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(at, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// The state of that name. Errors: corrupt.
template <class State>
Status read_state(const std::string& name, State& to) {
  const auto& graph = graph_of(to);
  for (std::size_t i = 0; i < graph.names.size(); ++i) {
    if (graph.names[i] != name) continue;
    to = static_cast<State>(i);
    return {};
  }
  return fail(ErrorKind::corrupt,
              fmt::format("the store has a {} in state \"{}\"", graph.name, name),
              "Move the file away; what runs is found again by its tags.");
}

JobOutcome outcome_of(std::int64_t number) {
  const bool is_known = number >= 0 && number <= static_cast<int>(JobOutcome::lost);
  return is_known ? static_cast<JobOutcome>(number) : JobOutcome::none;
}

std::string offering_text(const Offering& offering) {
  return fmt::format("{} {} {} {}", offering.instance_type, to_string(offering.capacity_type),
                     offering.subnet, offering.zone);
}

CapacityType capacity_of(const std::string& text) {
  return text == "spot" ? CapacityType::spot : CapacityType::on_demand;
}

Offering offering_of(const std::string& text) {
  std::array<std::string, 4> parts;
  std::size_t begin = 0;
  for (std::string& part : parts) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    part = text.substr(begin, end - begin);
    begin = std::min(end + 1, text.size());
  }
  return {parts[0], capacity_of(parts[1]), parts[2], parts[3]};
}

Status write(Connection& to, const Job& job) {
  const auto changed =
      to.change("INSERT OR REPLACE INTO fleet_job VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                {job.id.value(), job.source, join(job.labels), job.repository, job.tenant,
                 std::int64_t{job.priority}, count_of(job.queued_at), job.time_max.count(),
                 to_string(job.state), job.lease.value(), std::int64_t{job.lease_count},
                 static_cast<std::int64_t>(job.outcome), std::int64_t{job.exit_code}, job.reason,
                 count_of(job.changed_at), job.instance.value(), count_of(job.started_at)});
  if (!changed) return tl::unexpected<Error>(changed.error());
  return {};
}

Status write(Connection& to, const Instance& one) {
  const auto changed = to.change(
      "INSERT OR REPLACE INTO fleet_instance VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      {one.id.value(),
       one.intent.value(),
       one.pool.value(),
       one.size,
       one.offering.instance_type,
       to_string(one.offering.capacity_type),
       one.offering.subnet,
       one.offering.zone,
       to_string(one.phase),
       count_of(one.launched_at),
       count_of(one.phase_since),
       one.lease.value(),
       std::int64_t{one.job_count},
       one.address,
       one.host_keys,
       one.settings,
       one.reason,
       one.usd_per_hour,
       std::int64_t{one.is_adopted},
       std::int64_t{one.is_hedge},
       std::int64_t{one.vcpus},
       std::int64_t{one.is_protected}});
  if (!changed) return tl::unexpected<Error>(changed.error());
  return {};
}

Status write(Connection& to, const Lease& lease) {
  const auto changed =
      to.change("INSERT OR REPLACE INTO fleet_lease VALUES (?,?,?,?,?,?,?,?,?,?)",
                {lease.id.value(), lease.job.value(), lease.instance.value(),
                 to_string(lease.state), count_of(lease.created_at), count_of(lease.started_at),
                 static_cast<std::int64_t>(lease.outcome), std::int64_t{lease.exit_code},
                 lease.reason, std::int64_t{lease.is_cancelled}});
  if (!changed) return tl::unexpected<Error>(changed.error());
  return {};
}

Status write(Connection& to, const PoolOrder& order) {
  const auto changed = to.change(
      "INSERT OR REPLACE INTO fleet_pool VALUES (?,?,?,?,?)",
      {order.pool.value(), to_string(order.mode), count_of(order.since), order.by, order.why});
  if (!changed) return tl::unexpected<Error>(changed.error());
  return {};
}

/// The frozen call is written once, with the row; afterwards only what may change is.
Status write(Connection& to, const Intent& intent, const FrozenCall* call) {
  if (call == nullptr) {
    const auto changed =
        to.change("UPDATE fleet_intent SET state = ?, count = ?, created_at = ? WHERE id = ?",
                  {to_string(intent.state), std::int64_t{intent.count}, count_of(intent.created_at),
                   intent.id.value()});
    if (!changed) return tl::unexpected<Error>(changed.error());
    if (*changed > 0) return {};
  }
  std::vector<std::string> offerings{offering_text(intent.offering)};
  for (const Offering& one : intent.offerings) offerings.push_back(offering_text(one));
  const auto changed = to.change(
      "INSERT OR REPLACE INTO fleet_intent VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      {intent.id.value(), intent.pool.value(), intent.size, join(offerings),
       std::int64_t{!intent.offerings.empty()}, std::int64_t{intent.count}, to_string(intent.state),
       count_of(intent.created_at), intent.reason, std::int64_t{intent.is_hedge},
       intent.usd_per_hour, call == nullptr ? std::string() : call->action,
       call == nullptr ? std::string() : call->body, std::int64_t{intent.vcpus}});
  if (!changed) return tl::unexpected<Error>(changed.error());
  return {};
}

template <class Rows>
Status write_all(Connection& to, const Rows& rows) {
  for (const auto& row : rows) {
    if (Status done = write(to, row); !done) return done;
  }
  return {};
}

template <class Ids>
Status remove_all(Connection& from, const char* table, const Ids& ids) {
  const std::string text = fmt::format("DELETE FROM {} WHERE id = ?", table);
  for (const auto& id : ids) {
    const auto removed = from.change(text, {id.value()});
    if (!removed) return tl::unexpected<Error>(removed.error());
  }
  return {};
}

Status read_jobs(Connection& in, std::vector<Job>& to) {
  Status sound;
  const Status asked = in.query("SELECT * FROM fleet_job", {}, [&](const Row& row) {
    Job job;
    job.id = JobId(row.text(0));
    job.source = row.text(1);
    job.labels = split(row.text(2));
    job.repository = row.text(3);
    job.tenant = row.text(4);
    job.priority = int_of(row.integer(5));
    job.queued_at = time_of(row.integer(6));
    job.time_max = Duration{row.integer(7)};
    if (Status read = read_state(row.text(8), job.state); !read) sound = read;
    job.lease = LeaseId(row.text(9));
    job.lease_count = int_of(row.integer(10));
    job.outcome = outcome_of(row.integer(11));
    job.exit_code = int_of(row.integer(12));
    job.reason = row.text(13);
    job.changed_at = time_of(row.integer(14));
    job.instance = InstanceId(row.text(15));
    job.started_at = time_of(row.integer(16));
    to.push_back(std::move(job));
  });
  return asked ? sound : asked;
}

Status read_instances(Connection& in, std::vector<Instance>& to) {
  Status sound;
  const Status asked = in.query("SELECT * FROM fleet_instance", {}, [&](const Row& row) {
    Instance one;
    one.id = InstanceId(row.text(0));
    one.intent = IntentId(row.text(1));
    one.pool = PoolName(row.text(2));
    one.size = row.text(3);
    one.offering = {row.text(4), capacity_of(row.text(5)), row.text(6), row.text(7)};
    if (Status read = read_state(row.text(8), one.phase); !read) sound = read;
    one.launched_at = time_of(row.integer(9));
    one.phase_since = time_of(row.integer(10));
    one.lease = LeaseId(row.text(11));
    one.job_count = int_of(row.integer(12));
    one.address = row.text(13);
    one.host_keys = row.text(14);
    one.settings = row.text(15);
    one.reason = row.text(16);
    one.usd_per_hour = row.real(17);
    one.is_adopted = row.integer(18) != 0;
    one.is_hedge = row.integer(19) != 0;
    one.vcpus = int_of(row.integer(20));
    one.is_protected = row.integer(21) != 0;
    to.push_back(std::move(one));
  });
  return asked ? sound : asked;
}

Status read_leases(Connection& in, std::vector<Lease>& to) {
  Status sound;
  const Status asked = in.query("SELECT * FROM fleet_lease", {}, [&](const Row& row) {
    Lease lease;
    lease.id = LeaseId(row.text(0));
    lease.job = JobId(row.text(1));
    lease.instance = InstanceId(row.text(2));
    if (Status read = read_state(row.text(3), lease.state); !read) sound = read;
    lease.created_at = time_of(row.integer(4));
    lease.started_at = time_of(row.integer(5));
    lease.outcome = outcome_of(row.integer(6));
    lease.exit_code = int_of(row.integer(7));
    lease.reason = row.text(8);
    lease.is_cancelled = row.integer(9) != 0;
    to.push_back(std::move(lease));
  });
  return asked ? sound : asked;
}

PoolMode mode_of(const std::string& name) {
  for (const PoolMode mode : {PoolMode::paused, PoolMode::draining}) {
    if (to_string(mode) == name) return mode;
  }
  return PoolMode::open;
}

Status read_pool_orders(Connection& in, std::vector<PoolOrder>& to) {
  return in.query("SELECT pool, mode, since, who, why FROM fleet_pool", {}, [&](const Row& row) {
    to.push_back({PoolName(row.text(0)), mode_of(row.text(1)), time_of(row.integer(2)), row.text(3),
                  row.text(4)});
  });
}

Status read_intents(Connection& in, StoredFleet& to) {
  Status sound;
  const Status asked = in.query("SELECT * FROM fleet_intent", {}, [&](const Row& row) {
    Intent intent;
    intent.id = IntentId(row.text(0));
    intent.pool = PoolName(row.text(1));
    intent.size = row.text(2);
    std::vector<Offering> offerings;
    for (const std::string& line : split(row.text(3))) offerings.push_back(offering_of(line));
    if (!offerings.empty()) intent.offering = offerings.front();
    if (row.integer(4) != 0) intent.offerings.assign(offerings.begin() + 1, offerings.end());
    intent.count = int_of(row.integer(5));
    if (Status read = read_state(row.text(6), intent.state); !read) sound = read;
    intent.created_at = time_of(row.integer(7));
    intent.reason = row.text(8);
    intent.is_hedge = row.integer(9) != 0;
    intent.usd_per_hour = row.real(10);
    intent.vcpus = int_of(row.integer(13));
    const bool has_call = !row.text(11).empty();
    if (has_call && intent.state == IntentState::open) {
      to.calls[intent.id] = {row.text(11), row.text(12), ClientToken(intent.id.value()),
                             intent.count};
    }
    to.fleet.intents.push_back(std::move(intent));
  });
  return asked ? sound : asked;
}

}  // namespace

Result<StoredFleet> read_fleet(Connection& in) {
  StoredFleet stored;
  stored.is_new = true;
  const Status read = in.transact([&]() -> Status {
    if (Status done = read_jobs(in, stored.fleet.jobs); !done) return done;
    if (Status done = read_instances(in, stored.fleet.instances); !done) return done;
    if (Status done = read_leases(in, stored.fleet.leases); !done) return done;
    if (Status done = read_intents(in, stored); !done) return done;
    if (Status done = read_pool_orders(in, stored.fleet.pool_orders); !done) return done;
    Status timed = in.query("SELECT boot, began FROM fleet_clock", {}, [&](const Row& row) {
      stored.is_new = false;
      stored.clock = {row.text(0), time_of(row.integer(1))};
    });
    if (!timed) return timed;
    return in.query("SELECT day, usd_settled FROM fleet_day ORDER BY day DESC LIMIT 1", {},
                    [&](const Row& row) {
                      stored.is_new = false;
                      stored.fleet.spending = {static_cast<long>(row.integer(0)), row.real(1)};
                    });
  });
  if (!read) return tl::unexpected<Error>(read.error());
  const FleetSnapshot& fleet = stored.fleet;
  const bool has_rows = !fleet.jobs.empty() || !fleet.instances.empty() || !fleet.leases.empty() ||
                        !fleet.intents.empty();
  stored.is_new = stored.is_new && !has_rows;
  return stored;
}

Status write_fleet(Connection& to, const FleetCommit& commit) {
  const FleetChanges& changes = commit.changes;
  if (Status done = write_all(to, changes.jobs); !done) return done;
  if (Status done = write_all(to, changes.instances); !done) return done;
  if (Status done = write_all(to, changes.leases); !done) return done;
  if (Status done = write_all(to, changes.pool_orders); !done) return done;
  for (const Intent& intent : changes.intents) {
    const FrozenCall* call = nullptr;
    for (const auto& [id, frozen] : commit.calls) {
      if (id == intent.id) call = &frozen;
    }
    if (Status done = write(to, intent, call); !done) return done;
  }
  if (Status done = remove_all(to, "fleet_job", changes.removed_jobs); !done) return done;
  if (Status done = remove_all(to, "fleet_instance", changes.removed_instances); !done) return done;
  if (Status done = remove_all(to, "fleet_lease", changes.removed_leases); !done) return done;
  // The steps of a lease that is over are nobody's any more.
  for (const LeaseId& id : changes.removed_leases) {
    const auto removed = to.change("DELETE FROM run_step WHERE run = ?", {id.value()});
    if (!removed) return tl::unexpected<Error>(removed.error());
  }
  if (Status done = remove_all(to, "fleet_intent", changes.removed_intents); !done) return done;
  if (commit.clock) {
    const auto timed = to.change("INSERT OR REPLACE INTO fleet_clock VALUES (1,?,?)",
                                 {commit.clock->boot, count_of(commit.clock->began)});
    if (!timed) return tl::unexpected<Error>(timed.error());
  }
  if (!changes.spending) return {};
  const auto spent =
      to.change("INSERT OR REPLACE INTO fleet_day VALUES (?,?)",
                {std::int64_t{changes.spending->day}, changes.spending->usd_settled});
  if (!spent) return tl::unexpected<Error>(spent.error());
  return {};
}

}  // namespace muster::sqlite
