// The families of cases, joined.
#include "kernels/cases/op_list.h"

#include <iterator>

namespace lockstep::cases {

OpCases all_cases() {
  OpCases all;
  for (const auto& family :
       {order_cases,         linear_cases,          conv_cases,          pool_cases,
        adaptive_pool_cases, activation_cases,      elementwise_cases,   scale_channels_cases,
        softmax_cases,       columns_cases,         polynomial_cases,    layer_norm_cases,
        batch_norm_cases,    batch_norm_relu_cases, embedding_cases,     sequence_cases,
        recurrent_cases,     attention_cases,       cross_entropy_cases, loss_cases,
        hinge_cases,         metric_cases,          reduction_cases,     penalty_cases,
        optimizer_cases}) {
    OpCases cases = family();
    all.insert(all.end(), std::make_move_iterator(cases.begin()),
               std::make_move_iterator(cases.end()));
  }
  return all;
}

}  // namespace lockstep::cases
