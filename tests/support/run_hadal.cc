#include "tests/support/run_hadal.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <regex>

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

void expect_refused(const RunResult& result, const Refused& want) {
  std::string call;
  for (const std::string& argument : want.arguments) call += argument + ' ';
  SCOPED_TRACE(call + "\n" + result.err);
  EXPECT_EQ(result.exit_code, want.exit_code);
  EXPECT_TRUE(want.prints || result.out.empty()) << result.out;
  const std::string mark = "hadal: error: ";
  const size_t start = result.err.find(mark);
  ASSERT_NE(start, std::string::npos);
  EXPECT_TRUE(start == 0 || result.err[start - 1] == '\n');
  EXPECT_EQ(result.err.find('\n', start), result.err.size() - 1) << "one line";
  const std::string line = result.err.substr(start + mark.size());
  ASSERT_FALSE(want.names.empty());
  EXPECT_EQ(line.substr(0, want.names.size()), want.names);
  EXPECT_NE(line.find(want.hint), std::string::npos) << want.hint;
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_FALSE(std::regex_search(line, std::regex(R"(\{[a-z][a-z_.]*\})")))
      << "a setting in braces";
}

void expect_refused(const std::vector<Refused>& calls, const std::vector<std::string>& command,
                    const std::string& input) {
  for (Refused call : calls) {
    call.arguments.insert(call.arguments.begin(), command.begin(), command.end());
    expect_refused(run_hadal(call.arguments, input), call);
  }
}

}  // namespace hadal::testing
