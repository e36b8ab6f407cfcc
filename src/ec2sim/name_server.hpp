#pragma once

#include <boost/asio/ip/udp.hpp>

#include "base/task.hpp"
#include "ec2sim/dns_answer.hpp"

namespace ec2sim {

/// Answers on the socket until cancelled.
muster::Task<> serve_names(boost::asio::ip::udp::socket socket, NameLookup lookup);

}  // namespace ec2sim
