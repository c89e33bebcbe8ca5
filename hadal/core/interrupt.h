// core/interrupt.h: SIGINT, SIGTERM and SIGHUP as a question that long work asks between two steps.
#pragma once

namespace hadal {

// The first SIGINT, SIGTERM or SIGHUP from now on sets the flag; a second one ends the process (130).
// Under nohup SIGHUP stays ignored.
void catch_interrupts();
bool interrupted();
// As if SIGINT had not happened: a chat goes on after an answer was cut short. The others stay.
void clear_interrupt();

}  // namespace hadal
