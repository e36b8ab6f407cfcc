#pragma once

#include <sys/types.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/log.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "ec2sim/machines.hpp"

namespace ec2sim {

class Netlink;

struct HostOptions {
  std::string name;  ///< At most eight characters; in the names of everything made on the host.
  std::string state_dir;
  std::string image_root = "/";
};

/// Real machines on this host: each a set of namespaces on a bridge that stands in a network
/// namespace of its own. Needs root. Everything it makes dies with the process; what is left in the
/// file system goes at the next start. Use it from one thread that lives to the end: machines are
/// tied to the thread that cloned them.
class MachineHost : public Machines {
 public:
  MachineHost(muster::Executor executor, HostOptions options, const muster::Log& log,
              OnMachineEnd on_end);
  ~MachineHost() override;

  /// Cleans up what a killed simulator left, makes the network and picks its addresses.
  /// Errors: forbidden (no root), unavailable (the kernel refuses), conflict (no free subnet).
  muster::Status set_up();

  /// The second octet of the machines' 10.x.0.0/16.
  [[nodiscard]] unsigned second_octet() const { return second_octet_; }

  /// Sockets inside the VPC: the metadata service, the API and the name server.
  muster::Result<boost::asio::ip::tcp::acceptor> listen_in_vpc(const std::string& address,
                                                               int port);
  muster::Result<boost::asio::ip::udp::socket> bind_in_vpc(const std::string& address, int port);

  void tear_down() override;

 private:
  [[nodiscard]] std::string link_name() const { return "ec2sim-" + options_.name; }
  muster::Status lock_name();
  muster::Status pick_subnet();
  muster::Status make_network();
  muster::Status check_disk() const;
  void open_cgroup();
  void sweep();
  muster::Status boot(Machine& machine) override;
  [[nodiscard]] Exit exit_of(const siginfo_t& info) const override;
  void release(const Machine& machine) override;
  [[nodiscard]] int open_root(const Machine& machine) const override;

  HostOptions options_;
  unsigned second_octet_ = 0;
  int host_ns_ = -1;
  int vpc_ns_ = -1;
  int name_lock_ = -1;
  int subnet_lock_ = -1;
  int cgroup_ = -1;
  int guest_ = -1;
  std::unique_ptr<Netlink> host_net_;
  std::unique_ptr<Netlink> vpc_net_;
  unsigned next_port_ = 0;
};

}  // namespace ec2sim
