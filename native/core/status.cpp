// SPDX-License-Identifier: Apache-2.0
#include "core/status.h"

#include <cstdarg>
#include <cstdio>

namespace espalier {

std::string format_text(const char* pattern, ...) {
  char small[512];
  va_list args;
  va_start(args, pattern);
  const int needed = std::vsnprintf(small, sizeof small, pattern, args);
  va_end(args);
  if (needed < 0) return pattern;
  if (static_cast<size_t>(needed) < sizeof small) return std::string(small, needed);
  std::string text(static_cast<size_t>(needed) + 1, '\0');
  va_start(args, pattern);
  std::vsnprintf(text.data(), text.size(), pattern, args);
  va_end(args);
  text.resize(needed);
  return text;
}

}  // namespace espalier
