#pragma once

namespace bobbin {

/// The style of attention_html(), what it shows, and what it does.
extern const char *const attention_head, *const attention_body, *const attention_script;

}  // namespace bobbin
