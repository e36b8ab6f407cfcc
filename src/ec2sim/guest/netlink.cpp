#include "ec2sim/guest/netlink.hpp"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ec2sim {

/// A request under construction; attributes are appended and nested in place.
struct Netlink::Message {
  alignas(NLMSG_ALIGNTO) char bytes[1024] = {};

  Message(std::uint16_t type, std::uint16_t flags, const void* body, std::size_t size) {
    header().nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(size));
    header().nlmsg_type = type;
    header().nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    std::memcpy(NLMSG_DATA(&header()), body, size);
  }

  nlmsghdr& header() { return *reinterpret_cast<nlmsghdr*>(bytes); }

  void* append(std::size_t size) {
    void* at = bytes + NLMSG_ALIGN(header().nlmsg_len);
    header().nlmsg_len =
        static_cast<std::uint32_t>(NLMSG_ALIGN(header().nlmsg_len) + NLMSG_ALIGN(size));
    return at;
  }

  rtattr* add(std::uint16_t type, const void* data, std::size_t size) {
    auto* attribute = static_cast<rtattr*>(append(RTA_LENGTH(size)));
    attribute->rta_type = type;
    attribute->rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
    if (size > 0) std::memcpy(RTA_DATA(attribute), data, size);
    return attribute;
  }
  void add(std::uint16_t type, const char* text) { add(type, text, std::strlen(text) + 1); }
  void add(std::uint16_t type, std::uint32_t value) { add(type, &value, sizeof value); }

  rtattr* open(std::uint16_t type) { return add(type, nullptr, 0); }
  void close(rtattr* attribute) {
    attribute->rta_len = static_cast<std::uint16_t>(bytes + NLMSG_ALIGN(header().nlmsg_len) -
                                                    reinterpret_cast<char*>(attribute));
  }
};

Netlink::Netlink() : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
  if (fd_ < 0) return;
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return;
  close(fd_);
  fd_ = -1;
}

Netlink::~Netlink() {
  if (fd_ >= 0) close(fd_);
}

int Netlink::exchange(Message& message) {
  message.header().nlmsg_seq = ++sequence_;
  if (send(fd_, message.bytes, message.header().nlmsg_len, 0) < 0) return -errno;
  alignas(NLMSG_ALIGNTO) char answer[4096];
  while (true) {
    const ssize_t size = recv(fd_, answer, sizeof answer, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < static_cast<ssize_t>(sizeof(nlmsghdr))) return size < 0 ? -errno : -EIO;
    const auto* header = reinterpret_cast<const nlmsghdr*>(answer);
    if (header->nlmsg_seq != sequence_ || header->nlmsg_type != NLMSG_ERROR) continue;
    return static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
  }
}

int Netlink::add_bridge(const char* name) {
  ifinfomsg body{};
  body.ifi_family = AF_UNSPEC;
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
  message.add(IFLA_IFNAME, name);
  rtattr* info = message.open(IFLA_LINKINFO);
  message.add(IFLA_INFO_KIND, "bridge");
  message.close(info);
  return exchange(message);
}

int Netlink::add_veth(const char* name, const char* master, const char* peer, int peer_netns_fd,
                      const std::uint8_t* peer_mac) {
  ifinfomsg body{};
  body.ifi_family = AF_UNSPEC;
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
  message.add(IFLA_IFNAME, name);
  if (master != nullptr) message.add(IFLA_MASTER, if_nametoindex(master));
  rtattr* info = message.open(IFLA_LINKINFO);
  message.add(IFLA_INFO_KIND, "veth");
  rtattr* data = message.open(IFLA_INFO_DATA);
  rtattr* other = message.open(VETH_INFO_PEER);
  std::memset(message.append(sizeof(ifinfomsg)), 0, sizeof(ifinfomsg));
  message.add(IFLA_IFNAME, peer);
  if (peer_mac != nullptr) message.add(IFLA_ADDRESS, peer_mac, 6);
  message.add(IFLA_NET_NS_FD, static_cast<std::uint32_t>(peer_netns_fd));
  message.close(other);
  message.close(data);
  message.close(info);
  return exchange(message);
}

int Netlink::delete_link(const char* name) {
  ifinfomsg body{};
  body.ifi_family = AF_UNSPEC;
  Message message(RTM_DELLINK, 0, &body, sizeof body);
  message.add(IFLA_IFNAME, name);
  return exchange(message);
}

int Netlink::set_up(const char* name) {
  ifinfomsg body{};
  body.ifi_family = AF_UNSPEC;
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  Message message(RTM_NEWLINK, 0, &body, sizeof body);
  message.add(IFLA_IFNAME, name);
  return exchange(message);
}

int Netlink::set_master(const char* name, const char* bridge) {
  ifinfomsg body{};
  body.ifi_family = AF_UNSPEC;
  Message message(RTM_NEWLINK, 0, &body, sizeof body);
  message.add(IFLA_IFNAME, name);
  message.add(IFLA_MASTER, if_nametoindex(bridge));
  return exchange(message);
}

int Netlink::add_address(const char* name, std::uint32_t address, int prefix_length) {
  ifaddrmsg body{};
  body.ifa_family = AF_INET;
  body.ifa_prefixlen = static_cast<std::uint8_t>(prefix_length);
  body.ifa_index = if_nametoindex(name);
  Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
  message.add(IFA_LOCAL, htonl(address));
  message.add(IFA_ADDRESS, htonl(address));
  return exchange(message);
}

int Netlink::add_route(std::uint32_t to, int prefix_length, std::uint32_t gateway,
                       const char* device) {
  rtmsg body{};
  body.rtm_family = AF_INET;
  body.rtm_dst_len = static_cast<std::uint8_t>(prefix_length);
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_STATIC;
  body.rtm_scope = gateway == 0 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  body.rtm_type = RTN_UNICAST;
  Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
  if (prefix_length > 0) message.add(RTA_DST, htonl(to));
  if (gateway != 0) message.add(RTA_GATEWAY, htonl(gateway));
  message.add(RTA_OIF, if_nametoindex(device));
  return exchange(message);
}

int Netlink::add_permanent_neighbour(const char* device, std::uint32_t address,
                                     const std::uint8_t* mac) {
  ndmsg body{};
  body.ndm_family = AF_INET;
  body.ndm_ifindex = static_cast<std::int32_t>(if_nametoindex(device));
  body.ndm_state = NUD_PERMANENT;
  Message message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
  message.add(NDA_DST, htonl(address));
  message.add(NDA_LLADDR, mac, 6);
  return exchange(message);
}

}  // namespace ec2sim
