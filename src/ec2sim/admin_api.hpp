#pragma once

#include <functional>

#include "base/document.hpp"

#include "ec2sim/universe.hpp"
#include "ports/clock.hpp"
#include "ports/http.hpp"

namespace ec2sim {

/// What tests and people change at run time, below `/_ec2sim/`, for callers on this host:
/// `GET|PUT faults`, `GET machines`, `POST interrupt`, `POST reset`. JSON in and out.
class AdminApi : public muster::HttpHandler {
 public:
  struct Events {
    std::function<void()> changed;  ///< Machines may have to be started or ended.
    std::function<void()> reset;
  };

  AdminApi(Universe& universe, muster::Clock& clock, Events events)
      : universe_(universe), clock_(clock), events_(std::move(events)) {}

  muster::Task<muster::HttpServerResponse> handle(muster::HttpServerRequest request) override;

 private:
  muster::HttpServerResponse set_faults(const muster::Node& body);
  muster::HttpServerResponse interrupt(const muster::Node& body);
  [[nodiscard]] muster::HttpServerResponse list_machines() const;

  Universe& universe_;
  muster::Clock& clock_;
  Events events_;
};

}  // namespace ec2sim
