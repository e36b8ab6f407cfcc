#pragma once

#include <linux/rtnetlink.h>

#include <cstddef>
#include <cstdint>

namespace ec2sim {

/// A conversation with the kernel about the links of the network namespace in which it was opened.
/// Shared with the machines' init, hence without anything but the C library. Every call gives 0 or
/// a negative errno.
class Netlink {
 public:
  Netlink();
  ~Netlink();
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;

  [[nodiscard]] bool is_open() const { return fd_ >= 0; }

  int add_bridge(const char* name);
  /// A veth pair: `name` here (up, on bridge `master` if given), `peer` in the namespace of
  /// `peer_netns_fd` with this MAC (null: the kernel's choice).
  int add_veth(const char* name, const char* master, const char* peer, int peer_netns_fd,
               const std::uint8_t* peer_mac);
  int delete_link(const char* name);
  int set_up(const char* name);
  int set_master(const char* name, const char* bridge);
  /// Addresses are in host byte order.
  int add_address(const char* name, std::uint32_t address, int prefix_length);
  int add_route(std::uint32_t to, int prefix_length, std::uint32_t gateway, const char* device);
  int add_permanent_neighbour(const char* device, std::uint32_t address, const std::uint8_t* mac);

 private:
  struct Message;
  int exchange(Message& message);

  int fd_ = -1;
  std::uint32_t sequence_ = 0;
};

}  // namespace ec2sim
