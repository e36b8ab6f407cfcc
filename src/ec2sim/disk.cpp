#include "ec2sim/disk.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

#include "base/document.hpp"

namespace ec2sim {

namespace fs = std::filesystem;

namespace {

class DiskWriter {
 public:
  explicit DiskWriter(const DiskContents& contents)
      : contents_(contents), upper_(contents.dir + "/upper") {}

  muster::Status write_all() {
    if (contents_.is_restart) {
      write("/var/lib/cloud/instance/boot.sh", contents_.boot_script, 0700);
      return result();
    }
    for (const char* name : {"/upper", "/work", "/root", "/docker"}) {
      make_folder(contents_.dir + name, 0755);
    }
    hide_host();
    write_identity();
    write_users();
    write_ssh();
    write_programs();
    write("/var/lib/cloud/instance/boot.sh", contents_.boot_script, 0700);
    return result();
  }

 private:
  [[nodiscard]] muster::Status result() const {
    if (failure_.empty()) return {};
    return muster::fail(muster::ErrorKind::unavailable, failure_,
                        "Free some space, or name another folder with --state.");
  }
  void fail_with(const std::string& path) {
    if (failure_.empty()) failure_ = fmt::format("cannot write {}: {}", path, std::strerror(errno));
  }
  void make_folder(const std::string& path, mode_t mode) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) return fail_with(path);
    chmod(path.c_str(), mode);
  }
  void write(const std::string& path, std::string_view text, mode_t mode) {
    const std::string whole = upper_ + path;
    std::error_code ignored;
    fs::create_directories(fs::path(whole).parent_path(), ignored);
    std::ofstream file(whole, std::ios::binary | std::ios::trunc);
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
    file.close();
    if (!file) return fail_with(whole);
    chmod(whole.c_str(), mode);
  }
  [[nodiscard]] std::string read_lower(const std::string& path) const {
    std::ifstream file(contents_.image_root + path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  /// An empty folder in place of the image's.
  void hide(const std::string& path, mode_t mode) {
    const std::string whole = upper_ + path;
    make_folder(whole, mode);
    setxattr(whole.c_str(), "trusted.overlay.opaque", "y", 1, 0);
  }
  void hide_host() {
    hide("/root", 0700);
    hide("/home", 0755);
    hide("/tmp", 01777);
    hide("/var/tmp", 01777);
    hide("/var/log", 0755);
    hide("/var/lib/cloud", 0755);
    hide("/var/lib/docker", 0711);
    hide("/var/backups", 0755);
    hide("/etc/ssl/private", 0700);
    for (const char* path : {"/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/passwd-"}) {
      std::error_code missing;
      if (fs::exists(contents_.image_root + path, missing)) {
        mknod((upper_ + path).c_str(), S_IFCHR, makedev(0, 0));
      }
    }
    hide_keys_of_accounts();
    hide("/mnt", 0755);
    hide("/media", 0755);
    if (!contents_.hidden_dir.empty()) hide(contents_.hidden_dir, 0700);
    // The image's own host keys: a whiteout for each.
    std::error_code ignored;
    make_folder(upper_ + "/etc/ssh", 0755);
    for (const auto& entry : fs::directory_iterator(contents_.image_root + "/etc/ssh", ignored)) {
      const std::string name = entry.path().filename();
      if (!name.starts_with("ssh_host_") || name.starts_with("ssh_host_ed25519_")) continue;
      mknod((upper_ + "/etc/ssh/" + name).c_str(), S_IFCHR, makedev(0, 0));
    }
  }
  /// Accounts of services may live anywhere; their keys are not the machine's.
  void hide_keys_of_accounts() {
    std::istringstream accounts(read_lower("/etc/passwd"));
    for (std::string line; std::getline(accounts, line);) {
      std::vector<std::string> fields;
      std::istringstream parts(line);
      for (std::string field; std::getline(parts, field, ':');) fields.push_back(field);
      if (fields.size() < 6 || !fields[5].starts_with('/')) continue;
      std::error_code missing;
      if (fs::exists(contents_.image_root + fields[5] + "/.ssh", missing)) {
        hide(fields[5] + "/.ssh", 0700);
      }
    }
  }
  void write_identity() {
    write("/etc/hostname", contents_.hostname + "\n", 0644);
    write("/etc/hosts",
          fmt::format("127.0.0.1 localhost\n127.0.1.1 {0}.ec2.internal {0}\n"
                      "169.254.169.254 instance-data.ec2.internal instance-data\n",
                      contents_.hostname),
          0644);
    write("/etc/resolv.conf",
          fmt::format("search ec2.internal\nnameserver {}\n", contents_.dns_address), 0644);
    const std::string id = muster::wire::ssh_fingerprint(contents_.host_key.public_blob);
    std::string machine_id;
    for (const char c : id) machine_id += "0123456789abcdef"[static_cast<unsigned char>(c) % 16];
    machine_id.resize(32, '0');
    write("/etc/machine-id", machine_id + "\n", 0444);
    write("/etc/motd", "", 0644);
  }
  /// The image's accounts without their passwords, and the default user.
  void write_users() {
    std::string passwd = read_lower("/etc/passwd");
    std::string group = read_lower("/etc/group");
    const std::string& user = contents_.default_user;
    std::set<std::string> ids;
    bool exists = false;
    int existing_id = 1000;
    std::istringstream lines(passwd);
    for (std::string line; std::getline(lines, line);) {
      exists = exists || line.starts_with(user + ":");
      const std::size_t first = line.find(':', line.find(':') + 1);
      if (first != std::string::npos) {
        const std::string number = line.substr(first + 1, line.find(':', first + 1) - first - 1);
        ids.insert(number);
        if (line.starts_with(user + ":")) {
          existing_id = static_cast<int>(muster::parse_integer(number).value_or(1000));
        }
      }
    }
    int id = 1000;
    while (ids.contains(std::to_string(id)) ||
           group.find(fmt::format(":{}:", id)) != std::string::npos)
      ++id;
    if (!exists) {
      passwd += fmt::format("{0}:x:{1}:{1}:Debian:/home/{0}:/bin/bash\n", user, id);
      group += fmt::format("{}:x:{}:\n", user, id);
    }
    std::string shadow;
    std::istringstream accounts(passwd);
    for (std::string line; std::getline(accounts, line);) {
      // `*` and not `!`: sshd without PAM takes `!` for a locked account.
      if (!line.empty()) shadow += line.substr(0, line.find(':')) + ":*:19000:0:99999:7:::\n";
    }
    write("/etc/passwd", passwd, 0644);
    write("/etc/group", group, 0644);
    write("/etc/shadow", shadow, 0600);
    write(fmt::format("/etc/sudoers.d/90-{}", user),
          fmt::format("{} ALL=(ALL) NOPASSWD:ALL\n", user), 0440);
    const std::string home = upper_ + "/home/" + user;
    make_folder(home, 0755);
    if (exists) id = existing_id;
    if (chown(home.c_str(), static_cast<uid_t>(id), static_cast<gid_t>(id)) != 0) fail_with(home);
  }
  void write_ssh() {
    write("/etc/ssh/ssh_host_ed25519_key", contents_.host_key.private_text.reveal(), 0600);
    write("/etc/ssh/ssh_host_ed25519_key.pub", contents_.host_key.public_line + "\n", 0644);
    write("/etc/ssh/sshd_config",
          "HostKey /etc/ssh/ssh_host_ed25519_key\nPermitRootLogin prohibit-password\n"
          "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
          "X11Forwarding no\nPrintMotd no\nAcceptEnv LANG LC_*\n"
          "Subsystem sftp internal-sftp\n",
          0644);
  }
  void write_programs() {
    for (const char* path :
         {"/usr/sbin/shutdown", "/usr/sbin/poweroff", "/usr/sbin/halt", "/usr/sbin/reboot"}) {
      write(path, contents_.guest_program, 0755);
    }
    write("/usr/bin/systemctl", contents_.systemctl, 0755);
    if (contents_.has_docker) {
      write("/usr/local/lib/ec2sim/ec2sim-runc", contents_.guest_program, 0755);
    }
  }

  const DiskContents& contents_;
  std::string upper_;
  std::string failure_;
};

}  // namespace

muster::Status make_disk(const DiskContents& contents) { return DiskWriter(contents).write_all(); }

void remove_disk(const std::string& dir) {
  std::error_code ignored;
  fs::remove_all(dir, ignored);
}

}  // namespace ec2sim
