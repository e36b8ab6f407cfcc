#pragma once

#include <string>

#include "ec2model/model.hpp"
#include "wire/xml.hpp"

namespace ec2sim {

/// `ip-10-0-1-7.ec2.internal`
[[nodiscard]] std::string private_name(const std::string& address);

void write_tags(muster::wire::XmlWriter& out, const ec2model::Tags& tags);
void write_group_names(muster::wire::XmlWriter& out, const ec2model::Model& model,
                       const std::vector<std::string>& groups);
/// INSTANCE of the API reference. `state` is what a listing shows, which may be stale.
void write_instance(muster::wire::XmlWriter& out, const ec2model::Instance& at,
                    const ec2model::Model& model, ec2model::State state);
void write_reservation(muster::wire::XmlWriter& out, const ec2model::Reservation& reservation,
                       const ec2model::Model& model, muster::TimePoint now);
void write_block_devices(muster::wire::XmlWriter& out, const ec2model::Instance& at,
                         const ec2model::Model& model);
void write_changes(muster::wire::XmlWriter& out, const std::vector<ec2model::StateChange>& changes);

}  // namespace ec2sim
