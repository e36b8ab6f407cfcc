#pragma once

#include <boost/asio/awaitable.hpp>

namespace muster {

/// A coroutine on the one executor of the program. It starts when it is awaited.
template <class T = void>
using Task = boost::asio::awaitable<T>;

}  // namespace muster
