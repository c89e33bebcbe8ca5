#include "tests/support/run_hadal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "hadal/core/error.h"

namespace hadal::testing {
namespace {

struct Pipe {
  int ends[2] = {-1, -1};
  Pipe() {
    if (pipe2(ends, O_CLOEXEC) != 0) throw IoError("pipe: cannot be made");
  }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  void close_end(int end) {
    if (ends[end] >= 0) close(ends[end]);
    ends[end] = -1;
  }
};

}  // namespace

RunResult run_hadal(const std::vector<std::string>& arguments, const std::string& input,
                    const std::vector<std::string>& environment) {
  Pipe in, out, err;
  std::signal(SIGPIPE, SIG_IGN);
  const pid_t child = fork();
  if (child < 0) throw IoError("fork: refused");
  if (child == 0) {
    std::signal(SIGPIPE, SIG_DFL);
    dup2(in.ends[0], 0);
    dup2(out.ends[1], 1);
    dup2(err.ends[1], 2);
    for (const std::string& pair : environment) {
      const size_t equals = pair.find('=');
      setenv(pair.substr(0, equals).c_str(), pair.substr(equals + 1).c_str(), 1);
    }
    std::vector<const char*> argv{HADAL_BINARY};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    argv.push_back(nullptr);
    execv(HADAL_BINARY, const_cast<char* const*>(argv.data()));
    _exit(127);
  }
  in.close_end(0);
  out.close_end(1);
  err.close_end(1);
  RunResult result;
  size_t written = 0;
  if (input.empty()) in.close_end(1);
  while (out.ends[0] >= 0 || err.ends[0] >= 0) {
    pollfd polled[3] = {
        {out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}, {in.ends[1], POLLOUT, 0}};
    if (poll(polled, 3, -1) < 0) break;
    for (int stream = 0; stream < 2; ++stream) {
      if (!(polled[stream].revents & (POLLIN | POLLHUP))) continue;
      Pipe& pipe = stream == 0 ? out : err;
      char buffer[65536];
      const ssize_t n = read(pipe.ends[0], buffer, sizeof(buffer));
      if (n <= 0) {
        pipe.close_end(0);
      } else {
        (stream == 0 ? result.out : result.err).append(buffer, static_cast<size_t>(n));
      }
    }
    if (in.ends[1] >= 0 && (polled[2].revents & (POLLOUT | POLLERR))) {
      const ssize_t n = write(in.ends[1], input.data() + written, input.size() - written);
      if (n > 0) written += static_cast<size_t>(n);
      if (n <= 0 || written == input.size()) in.close_end(1);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

bool is_one_line_error(const RunResult& result) {
  const size_t start = result.err.find("hadal: error: ");
  return start != std::string::npos && (start == 0 || result.err[start - 1] == '\n') &&
         result.err.find('\n', start) == result.err.size() - 1;
}

}  // namespace hadal::testing
