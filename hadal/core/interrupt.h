// core/interrupt.h: SIGINT and SIGTERM as a question that long work asks between two steps.
#pragma once

namespace hadal {

// From now on the first SIGINT or SIGTERM sets the flag; a second one ends the process at once (130).
void catch_interrupts();
bool interrupted();
// As if SIGINT had not happened: a chat goes on after an answer was cut short. SIGTERM stays.
void clear_interrupt();

}  // namespace hadal
