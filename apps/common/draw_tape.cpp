#include "apps/common/draw_tape.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

#include "autograd/ops.h"
#include "autograd/watch/graph.h"
#include "data/files/write_file.h"
#include "tensor/check.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

// What `dot -Tsvg`, Graphviz' program, makes of the text; "" if there is no such program.
std::string svg_of_dot(const std::string& text) {
  FILE* input = std::tmpfile();
  check(input, "draw_tape", "cannot make a temporary file");
  std::fwrite(text.data(), 1, text.size(), input);
  std::rewind(input);
  int output[2];
  check(pipe2(output, O_CLOEXEC) == 0, "draw_tape", "cannot make a pipe");

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, fileno(input), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, output[1], STDOUT_FILENO);
  char program[] = "dot", format[] = "-Tsvg";
  char* arguments[] = {program, format, nullptr};
  pid_t child = 0;
  std::signal(SIGCHLD, SIG_DFL);  // where it is ignored nobody can be waited for
  const bool started = posix_spawnp(&child, program, &files, nullptr, arguments, environ) == 0;
  posix_spawn_file_actions_destroy(&files);
  close(output[1]);
  std::fclose(input);

  std::string svg;
  char buffer[4096];
  for (ssize_t n; (n = read(output[0], buffer, sizeof buffer)) > 0;) svg.append(buffer, static_cast<std::size_t>(n));
  close(output[0]);
  int status = -1;
  if (started) waitpid(child, &status, 0);
  return status == 0 ? svg : "";
}

}  // namespace

void write_picture(const std::string& dot, std::filesystem::path file) {
  if (file.extension() == ".dot") return write_file(file, dot);
  if (const std::string svg = svg_of_dot(dot); !svg.empty()) return write_file(file, svg);
  const std::string wanted = file.string();
  write_file(file.replace_extension(".dot"), dot);
  fail("draw_tape",
       "there is no picture without Graphviz, whose program dot is not installed or has failed (Debian: apt-get ",
       "install graphviz); what it would draw is written: dot -Tsvg -o ", shell_word(wanted), " ",
       shell_word(file.string()));
}

void draw_step(AnyModel& model, Index batch_size, const std::filesystem::path& file) {
  const AnyConfig config = model.config();
  const auto [height, width] = config.img_size();
  const Tensor images = Tensor::zeros({batch_size, config.num_channels(), height, width});
  Tape tape;
  const Var loss = cross_entropy(model(images), Labels(static_cast<std::size_t>(batch_size), 0));
  write_picture(to_dot(std::move(tape), named_parameters(model)), file);
}

}  // namespace bobbin
