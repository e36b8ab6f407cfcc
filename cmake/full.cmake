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

# The program inside simulated machines: static, without sanitizers, embedded into ec2sim.
add_executable(ec2sim_guest src/ec2sim/guest/main.cpp src/ec2sim/guest/init.cpp
  src/ec2sim/guest/process.cpp src/ec2sim/guest/supervisor.cpp
  src/ec2sim/guest/shutdown.cpp src/ec2sim/guest/runtime.cpp src/ec2sim/guest/netlink.cpp)
target_include_directories(ec2sim_guest PRIVATE src)
target_link_libraries(ec2sim_guest PRIVATE Boost::headers)
target_compile_options(ec2sim_guest PRIVATE -fno-sanitize=all -Os -fno-pic -Wno-zero-length-array)
target_link_options(ec2sim_guest PRIVATE -static -no-pie -fno-sanitize=all -s)
set_target_properties(ec2sim_guest PROPERTIES POSITION_INDEPENDENT_CODE OFF)

muster_library(muster_system adapters/system LINK muster_ports)
muster_library(ec2sim_core ec2sim LINK muster_ec2model muster_http muster_system muster_wire
               EXCLUDE "/main\\.cpp$")
target_sources(ec2sim_core PRIVATE src/ec2sim/guest/netlink.cpp)
set_source_files_properties(src/ec2sim/guest_program.cpp PROPERTIES
  COMPILE_DEFINITIONS "EC2SIM_GUEST_PATH=\"${CMAKE_BINARY_DIR}/ec2sim_guest\";EC2SIM_SYSTEMCTL_PATH=\"${CMAKE_SOURCE_DIR}/src/ec2sim/guest/systemctl.sh\""
  OBJECT_DEPENDS "${CMAKE_BINARY_DIR}/ec2sim_guest;${CMAKE_SOURCE_DIR}/src/ec2sim/guest/systemctl.sh")
add_dependencies(ec2sim_core ec2sim_guest)
add_executable(ec2sim src/ec2sim/main.cpp)
target_link_libraries(ec2sim PRIVATE ec2sim_core)
muster_library(muster_ssh adapters/ssh LINK muster_ports muster_wire ${LIBSSH})
muster_library(muster_docker adapters/docker LINK muster_ports muster_wire)
muster_library(muster_sqlite adapters/sqlite LINK muster_ports muster_wire SQLite::SQLite3)
muster_library(muster_config adapters/config LINK muster_ports muster_wire)
muster_library(muster_service service LINK muster_ports muster_wire muster_pipeline)
muster_library(muster_git adapters/git LINK muster_system)
muster_library(muster_cli cli LINK muster_service muster_aws muster_config muster_docker muster_git
               muster_http muster_sqlite muster_ssh muster_system EXCLUDE "/main\\.cpp$")
add_executable(muster src/cli/main.cpp)
target_link_libraries(muster PRIVATE muster_cli)
muster_library(muster_simulation simulation LINK muster_service muster_ec2model
               EXCLUDE "/main\\.cpp$")
# Days of fleets under faults, on the virtual clock.
add_executable(fleet_simulation src/simulation/main.cpp)
target_link_libraries(fleet_simulation PRIVATE muster_simulation)
if(CMAKE_BUILD_TYPE STREQUAL Release)
  find_package(mimalloc REQUIRED)
  target_link_libraries(fleet_simulation PRIVATE mimalloc)
endif()

# Fuzz targets: part of the trees that have sanitizers or measure coverage.
if(MUSTER_SANITIZE OR MUSTER_COVERAGE)
  add_custom_target(fuzz_targets)
  file(GLOB fuzz_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/fuzz/*_fuzz.cpp)
  foreach(source ${fuzz_sources})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzz_targets ${name})
    target_link_libraries(${name} PRIVATE muster_pipeline muster_wire muster_http muster_simulation
                          ec2sim_core)
  endforeach()
endif()

add_executable(sigv4_bench bench/sigv4_bench.cpp)
target_link_libraries(sigv4_bench PRIVATE muster_wire)
add_executable(planner_bench bench/planner_bench.cpp)
target_link_libraries(planner_bench PRIVATE muster_fleet)

# Ports against the real thing on loopback.
add_executable(contract_test tests/contract/ssh_machine_test.cpp tests/contract/http_test.cpp)
target_link_libraries(contract_test PRIVATE muster_ssh muster_system muster_service muster_http
                      GTest::gtest GTest::gtest_main)

# Every source of jobs.
add_executable(ci_contract tests/contract/ci_server_test.cpp tests/daemon/test_ci.cpp)
target_include_directories(ci_contract PRIVATE tests/daemon)
target_compile_definitions(ci_contract PRIVATE MUSTER_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
target_link_libraries(ci_contract PRIVATE muster_http muster_simulation muster_sqlite muster_system
                      GTest::gtest GTest::gtest_main)

# The Cloud ports against a cloud that tests/integration starts.
add_executable(cloud_contract tests/contract/cloud_test.cpp)
target_link_libraries(cloud_contract PRIVATE muster_aws muster_http muster_service muster_system
                      GTest::gtest GTest::gtest_main)

# The same against the cloud of the simulator.
add_executable(simulated_cloud_contract tests/contract/cloud_test.cpp)
target_compile_definitions(simulated_cloud_contract PRIVATE MUSTER_SIMULATED_CLOUD)
target_link_libraries(simulated_cloud_contract PRIVATE muster_simulation GTest::gtest
                      GTest::gtest_main)

# The daemon with the tests' CI server as one more source of jobs.
add_executable(test_daemon tests/daemon/main.cpp tests/daemon/test_ci.cpp)
target_include_directories(test_daemon PRIVATE tests/daemon)
target_link_libraries(test_daemon PRIVATE muster_cli)
add_executable(reaction_bench bench/reaction_bench.cpp)
target_link_libraries(reaction_bench PRIVATE muster_cli)
