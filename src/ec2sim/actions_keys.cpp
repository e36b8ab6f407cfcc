#include <fmt/format.h>

#include "ec2sim/call.hpp"
#include "ec2sim/ec2_xml.hpp"
#include "ec2sim/key_material.hpp"
#include "wire/encoding.hpp"

namespace ec2sim {

using ec2model::again;
using ec2model::refuse;
using muster::wire::XmlWriter;

namespace {

Answer<ec2model::Tags> key_tags(const Call& call) {
  const auto tags = call.given.tag_specifications({"key-pair"});
  if (!tags) return again(tags);
  const auto found = tags->find("key-pair");
  return found == tags->end() ? ec2model::Tags() : found->second;
}

void write_key(XmlWriter& out, const ec2model::KeyPair& pair, const Call& call) {
  out.text("keyName", pair.name).text("keyPairId", pair.id);
  out.text("keyFingerprint", pair.fingerprint);
  write_tags(out, call.model.tags_of(pair.id));
}

Answer<std::string> create_key(const Call& call) {
  ParameterReader reader(call.given);
  const std::string type = reader.word("KeyType", {"rsa", "ed25519"});
  const std::string format = reader.word("KeyFormat", {"pem", "ppk"});
  if (reader.has_failed()) return reader.failure();
  if (format == "ppk") {
    return refuse("UnsupportedOperation",
                  "The simulator makes no keys in PuTTY's format (KeyFormat)");
  }
  const auto tags = key_tags(call);
  if (!tags) return again(tags);
  const CreatedKey made = create_key_pair(type.empty() ? "rsa" : type, call.given.text("KeyName"));
  ec2model::KeyPair pair;
  pair.name = call.given.text("KeyName");
  pair.type = made.key.type;
  pair.public_key = made.key.public_line;
  pair.fingerprint = made.key.fingerprint;
  const auto added = call.model.add_key_pair(std::move(pair), *tags, call.gate, call.now);
  if (!added) return again(added);
  XmlWriter out;
  write_key(out, **added, call);
  out.text("keyMaterial", made.private_text.reveal());
  return out.take();
}

Answer<std::string> import_key(const Call& call) {
  const auto tags = key_tags(call);
  if (!tags) return again(tags);
  const auto text = muster::wire::base64_decode(call.given.text("PublicKeyMaterial"));
  const auto key = text ? read_public_key(*text) : std::nullopt;
  if (!key) return refuse("InvalidKey.Format", "Key is not in valid OpenSSH public key format");
  ec2model::KeyPair pair;
  pair.name = call.given.text("KeyName");
  pair.type = key->type;
  pair.public_key = key->public_line;
  pair.fingerprint = key->fingerprint;
  const auto added = call.model.add_key_pair(std::move(pair), *tags, call.gate, call.now);
  if (!added) return again(added);
  XmlWriter out;
  write_key(out, **added, call);
  return out.take();
}

Answer<std::string> delete_key(const Call& call) {
  const auto gone = call.model.delete_key_pair(call.given.text("KeyName"),
                                               call.given.text("KeyPairId"), call.gate);
  if (!gone) return again(gone);
  XmlWriter out;
  out.text("return", "true");
  if (*gone) out.text("keyPairId", **gone);
  return out.take();
}

Answer<std::string> describe_keys(const Call& call) {
  ParameterReader reader(call.given);
  const auto filters = reader.filters();
  const bool shows_key = reader.boolean("IncludePublicKey");
  if (reader.has_failed()) return reader.failure();
  const auto found = call.model.describe_key_pairs(call.given.list("KeyName"),
                                                   call.given.list("KeyPairId"), filters);
  return list_page(call, "keySet", found, {1, 1000, false, ""},
                   [&](XmlWriter& out, const ec2model::KeyPair* pair) {
                     write_key(out, *pair, call);
                     out.text("keyType", pair->type);
                     if (shows_key) out.text("publicKey", pair->public_key);
                     out.text("createTime", muster::format_iso8601_millis(pair->created_at));
                   });
}

}  // namespace

ActionTable key_actions() {
  return {
      {"CreateKeyPair",
       {create_key, tagged({"KeyName", "KeyType", "KeyFormat"}), {"KeyName"}, false}},
      {"ImportKeyPair",
       {import_key,
        tagged({"KeyName", "PublicKeyMaterial"}),
        {"KeyName", "PublicKeyMaterial"},
        false}},
      {"DeleteKeyPair", {delete_key, {"KeyName", "KeyPairId"}, {}, false}},
      {"DescribeKeyPairs",
       {describe_keys,
        {"KeyName.N", "KeyPairId.N", "IncludePublicKey", "Filter.N.Name", "Filter.N.Value.N"},
        {},
        false}},
  };
}

}  // namespace ec2sim
