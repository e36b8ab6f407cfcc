#include "ec2model/catalog.hpp"

#include <algorithm>

namespace ec2model {

const std::vector<InstanceType>& all_types() {
  static const std::vector<InstanceType> types{
      {"t3.nano", 2, 512, "x86_64", 5200, 1500, true},
      {"t3.micro", 2, 1024, "x86_64", 10400, 3100, true},
      {"t3.small", 2, 2048, "x86_64", 20800, 6200, true},
      {"t3.medium", 2, 4096, "x86_64", 41600, 12400, true},
      {"t3.large", 2, 8192, "x86_64", 83200, 24900, true},
      {"t3.xlarge", 4, 16384, "x86_64", 166400, 49900, true},
      {"t3.2xlarge", 8, 32768, "x86_64", 332800, 99800, true},
      {"t3a.medium", 2, 4096, "x86_64", 37600, 11200, true},
      {"t3a.large", 2, 8192, "x86_64", 75200, 22500, true},
      {"t4g.micro", 2, 1024, "arm64", 8400, 2500, true},
      {"t4g.small", 2, 2048, "arm64", 16800, 5000, true},
      {"t4g.medium", 2, 4096, "arm64", 33600, 10000, true},
      {"t4g.large", 2, 8192, "arm64", 67200, 20100, true},
      {"t4g.xlarge", 4, 16384, "arm64", 134400, 40300, true},
      {"m1.small", 1, 1740, "x86_64", 44000, 16700, true},
      {"m5.large", 2, 8192, "x86_64", 96000, 36400, true},
      {"m5.xlarge", 4, 16384, "x86_64", 192000, 72900, true},
      {"m5.2xlarge", 8, 32768, "x86_64", 384000, 145900, true},
      {"m5a.large", 2, 8192, "x86_64", 86000, 32600, true},
      {"m6i.large", 2, 8192, "x86_64", 96000, 36400, true},
      {"m6i.xlarge", 4, 16384, "x86_64", 192000, 72900, true},
      {"m6i.2xlarge", 8, 32768, "x86_64", 384000, 145900, true},
      {"m6a.large", 2, 8192, "x86_64", 86400, 32800, true},
      {"m6a.xlarge", 4, 16384, "x86_64", 172800, 65600, true},
      {"m6g.large", 2, 8192, "arm64", 77000, 29200, true},
      {"m6g.xlarge", 4, 16384, "arm64", 154000, 58500, true},
      {"m7i.large", 2, 8192, "x86_64", 100800, 38300, true},
      {"m7i.xlarge", 4, 16384, "x86_64", 201600, 76600, true},
      {"m7i.2xlarge", 8, 32768, "x86_64", 403200, 153200, true},
      {"m7a.large", 2, 8192, "x86_64", 115920, 44000, true},
      {"m7g.medium", 1, 4096, "arm64", 40800, 15500, true},
      {"m7g.large", 2, 8192, "arm64", 81600, 31000, true},
      {"m7g.xlarge", 4, 16384, "arm64", 163200, 62000, true},
      {"m7g.2xlarge", 8, 32768, "arm64", 326400, 124000, true},
      {"m8g.large", 2, 8192, "arm64", 89760, 34100, false},
      {"m8g.xlarge", 4, 16384, "arm64", 179520, 68200, false},
      {"c5.large", 2, 4096, "x86_64", 85000, 35700, true},
      {"c5.xlarge", 4, 8192, "x86_64", 170000, 71400, true},
      {"c6i.large", 2, 4096, "x86_64", 85000, 35700, true},
      {"c6i.xlarge", 4, 8192, "x86_64", 170000, 71400, true},
      {"c6g.large", 2, 4096, "arm64", 68000, 28500, true},
      {"c7i.large", 2, 4096, "x86_64", 89250, 37400, true},
      {"c7i.xlarge", 4, 8192, "x86_64", 178500, 74900, true},
      {"c7a.xlarge", 4, 8192, "x86_64", 205280, 86200, false},
      {"c7g.large", 2, 4096, "arm64", 72500, 30400, true},
      {"c7g.xlarge", 4, 8192, "arm64", 145000, 60900, true},
      {"r6i.large", 2, 16384, "x86_64", 126000, 41500, true},
      {"r7g.large", 2, 16384, "arm64", 107100, 35300, true},
  };
  return types;
}

const InstanceType* find_type(std::string_view name) {
  const auto& types = all_types();
  const auto found = std::find_if(types.begin(), types.end(),
                                  [&](const InstanceType& type) { return type.name == name; });
  return found == types.end() ? nullptr : &*found;
}

}  // namespace ec2model
