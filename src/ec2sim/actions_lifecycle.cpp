#include <fmt/format.h>

#include "ec2sim/call.hpp"
#include "ec2sim/ec2_xml.hpp"

namespace ec2sim {

using ec2model::again;
using muster::wire::XmlWriter;

namespace {

Answer<std::string> changes_of(const Answer<std::vector<ec2model::StateChange>>& changes) {
  if (!changes) return again(changes);
  XmlWriter out;
  write_changes(out, *changes);
  return out.take();
}

Answer<std::string> terminate(const Call& call) {
  ParameterReader reader(call.given);
  static_cast<void>(reader.boolean("Force"));
  static_cast<void>(reader.boolean("SkipOsShutdown"));
  if (reader.has_failed()) return reader.failure();
  return changes_of(
      call.model.terminate_instances(call.given.list("InstanceId"), call.gate, call.now));
}

Answer<std::string> stop(const Call& call) {
  ParameterReader reader(call.given);
  const bool hibernates = reader.boolean("Hibernate");
  const bool is_forced = reader.boolean("Force");
  static_cast<void>(reader.boolean("SkipOsShutdown"));
  if (reader.has_failed()) return reader.failure();
  return changes_of(call.model.stop_instances(call.given.list("InstanceId"), hibernates, is_forced,
                                              call.gate, call.now));
}

Answer<std::string> start(const Call& call) {
  return changes_of(call.model.start_instances(call.given.list("InstanceId"), call.gate, call.now));
}

Answer<std::string> reboot(const Call& call) {
  return done(call.model.reboot_instances(call.given.list("InstanceId"), call.gate));
}

Answer<std::string> create_tags(const Call& call) {
  const auto tags = call.given.tags("Tag");
  if (!tags) return again(tags);
  return done(call.model.create_tags(call.given.list("ResourceId"), *tags, call.gate));
}

Answer<std::string> delete_tags(const Call& call) {
  const auto tags = call.given.tag_keys("Tag");
  if (!tags) return again(tags);
  return done(call.model.delete_tags(call.given.list("ResourceId"), *tags, call.gate));
}

Answer<std::string> describe_tags(const Call& call) {
  const auto filters = call.given.filters();
  if (!filters) return again(filters);
  return list_page(call, "tagSet", call.model.describe_tags(*filters), {},
                   [](XmlWriter& out, const ec2model::Model::TagEntry& tag) {
                     out.text("resourceId", tag.resource).text("resourceType", tag.type);
                     out.text("key", tag.key).text("value", tag.value);
                   });
}

}  // namespace

ActionTable lifecycle_actions() {
  // An empty list is a combination error, not a missing parameter.
  return {
      {"TerminateInstances", {terminate, {"InstanceId.N", "Force", "SkipOsShutdown"}, {}, false}},
      {"StopInstances",
       {stop, {"InstanceId.N", "Hibernate", "Force", "SkipOsShutdown"}, {}, false}},
      {"StartInstances", {start, {"InstanceId.N"}, {}, false}},
      {"RebootInstances", {reboot, {"InstanceId.N"}, {}, false}},
  };
}

ActionTable tag_actions() {
  return {
      {"CreateTags",
       {create_tags,
        {"ResourceId.N", "Tag.N.Key", "Tag.N.Value"},
        {"ResourceId.N", "Tag.N"},
        false}},
      {"DeleteTags",
       {delete_tags, {"ResourceId.N", "Tag.N.Key", "Tag.N.Value"}, {"ResourceId.N"}, false}},
      {"DescribeTags", {describe_tags, paged({}), {}, false}},
  };
}

}  // namespace ec2sim
