#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/secret.hpp"
#include "base/strong.hpp"
#include "fleet/pool.hpp"

namespace muster {

/// Tags by which machines are told apart. Values are ours alone.
inline constexpr const char* kClusterTag = "muster:cluster";
inline constexpr const char* kPoolTag = "muster:pool";
inline constexpr const char* kIntentTag = "muster:intent";
inline constexpr const char* kOwnerTag = "muster:owner";        ///< A mark of the cluster's secret.
inline constexpr const char* kRunTag = "muster:run";            ///< Only of `muster exec`.
inline constexpr const char* kSizeTag = "muster:size";          ///< Of a `size:` label.
inline constexpr const char* kProtectedTag = "muster:protect";  ///< Set by people: `true`.

/// An SSH key pair that can be made again from the cluster's secret and what it is for.
struct DerivedKey {
  Secret private_key;       ///< An `OPENSSH PRIVATE KEY` block.
  std::string public_line;  ///< Of `authorized_keys`.
};

/// Makes the key for a purpose: always the same. The comment names it in `authorized_keys`.
using MakeKey = std::function<DerivedKey(const std::string& purpose, const std::string& comment)>;

[[nodiscard]] MakeKey keys_of(Secret cluster_secret);

/// The key of all machines of one launch: its public half is in their user data.
[[nodiscard]] DerivedKey launch_key(const MakeKey& make, const IntentId& intent);

/// A machine's own key, given to it at the first contact in place of the launch's.
[[nodiscard]] DerivedKey machine_key(const MakeKey& make, const IntentId& intent,
                                     const InstanceId& instance);

/// Tells installations apart that have taken the same cluster name; says nothing of the secret.
[[nodiscard]] std::string owner_mark(const Secret& cluster_secret);

/// The tags of a machine but for those that say what it is for.
[[nodiscard]] std::map<std::string, std::string> machine_tags(const Pool& pool,
                                                              const std::string& cluster,
                                                              const IntentId& intent);

}  // namespace muster
