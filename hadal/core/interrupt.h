// core/interrupt.h: SIGINT and SIGTERM as a question that long work asks between two steps.
#pragma once

namespace hadal {

// The first SIGINT or SIGTERM from now on sets the flag; a second one ends the process (130).
void catch_interrupts();
bool interrupted();
// As if SIGINT had not happened: a chat goes on after an answer was cut short. SIGTERM stays.
void clear_interrupt();

}  // namespace hadal
