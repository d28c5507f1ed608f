// The groups of rows that lie in files of their own. Each registers its rows for 1 and 2 threads (where the machine has
// two processors); the ladder's run on their device.
#pragma once

namespace furrow::bench {

void add_eager();  // single operations on dense tensors
void add_plans();  // whole networks
void add_training();  // training steps and the loss alone
void add_training_ops();  // the other operations of a training step, one by one
void add_ladder();  // the teaching kernels of kernels/cuda/ladder

}  // namespace furrow::bench
