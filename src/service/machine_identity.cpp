#include "service/machine_identity.hpp"

#include "wire/digest.hpp"
#include "wire/encoding.hpp"
#include "wire/openssh_key.hpp"

namespace muster {

MakeKey keys_of(Secret cluster_secret) {
  return [secret = std::move(cluster_secret)](const std::string& purpose,
                                              const std::string& comment) -> DerivedKey {
    const std::string seed = wire::hkdf_sha256(secret.reveal(), purpose, 32);
    wire::SshKeyPair pair = wire::ssh_key_of_seed(seed, comment);
    return {std::move(pair.private_text), std::move(pair.public_line)};
  };
}

DerivedKey launch_key(const MakeKey& make, const IntentId& intent) {
  return make("muster ssh key 1 " + intent.value(), "muster:" + intent.value());
}

DerivedKey machine_key(const MakeKey& make, const IntentId& intent, const InstanceId& instance) {
  return make("muster ssh key 2 " + intent.value() + " " + instance.value(),
              "muster:" + instance.value());
}

std::string owner_mark(const Secret& cluster_secret) {
  return wire::hex_encode(wire::hkdf_sha256(cluster_secret.reveal(), "muster owner 1", 4));
}

std::map<std::string, std::string> machine_tags(const Pool& pool, const std::string& cluster,
                                                const IntentId& intent) {
  std::map<std::string, std::string> tags = pool.tags;
  tags["Name"] = pool.instance_name.empty() ? "muster " + pool.name.value() : pool.instance_name;
  tags[kClusterTag] = cluster;
  tags[kPoolTag] = pool.name.value();
  tags[kIntentTag] = intent.value();
  return tags;
}

}  // namespace muster
