#pragma once

#include <cstddef>
#include <initializer_list>

namespace ec2sim::guest {

/// Starts a program in a session of its own, with its output in a file. PATH and HOME are root's
/// unless they are set.
void start(const char* log, std::initializer_list<const char*> words);

/// Adds to the console file and keeps it below a bound by dropping its older half.
void append_console(int console, const char* bytes, std::size_t size);

/// Blocks the signals that a first process waits for. Call it before the first child.
void block_signals();

/// What a first process does: reaps, copies the console, powers down when asked by signal (SIGTERM:
/// off, SIGINT: restart) or over `/run/initctl`.
[[noreturn]] void reap_for_ever(int console);

}  // namespace ec2sim::guest
