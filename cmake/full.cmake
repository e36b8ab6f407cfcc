# Everything with coroutines: ports, shell, adapters and the programs.
find_package(CURL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(CLI11 REQUIRED)
find_package(spdlog REQUIRED)
find_path(LIBSSH_INCLUDE libssh/libssh.h REQUIRED)
find_library(LIBSSH ssh REQUIRED)

target_link_libraries(muster_base PUBLIC spdlog::spdlog)
muster_library(muster_ports ports LINK muster_base muster_fleet)
muster_library(muster_http adapters/http LINK muster_ports muster_wire CURL::libcurl)
muster_library(muster_aws adapters/aws LINK muster_ports muster_wire)
