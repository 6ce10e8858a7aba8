// The one list of operation cases: every operation of backend.h at typical shapes, at the smallest,
// at odd ones and at those of the benchmark. A new operation gets its cases here.
#pragma once

#include "kernels/cases/op_case.h"

namespace lockstep::cases {

OpCases all_cases();

OpCases order_cases();            // from_file_order, to_file_order
OpCases linear_cases();           // linear_*
OpCases conv_cases();             // conv_*
OpCases pool_cases();             // max_pool_*, avg_pool_*, global_avg_pool_*
OpCases adaptive_pool_cases();    // adaptive_*_pool_*
OpCases activation_cases();       // activation_*
OpCases elementwise_cases();      // add, convert, fill, dropout, drop_samples, scale_shift
OpCases scale_channels_cases();   // scale_channels*
OpCases softmax_cases();          // softmax_*, log_softmax_*, argmax
OpCases columns_cases();          // maxout_*, write_columns, read_columns
OpCases polynomial_cases();       // product_*, quadratic_*
OpCases layer_norm_cases();       // layer_norm_*
OpCases batch_norm_cases();       // batch_norm_*, running_average
OpCases batch_norm_relu_cases();  // batch_norm_relu_*
OpCases embedding_cases();        // embedding_*
OpCases sequence_cases();         // swap_rows, add_row, sum_rows
OpCases recurrent_cases();        // lstm_cell_*, gru_cell_*
OpCases attention_cases();        // attention_*
OpCases cross_entropy_cases();    // softmax_cross_entropy
OpCases loss_cases();             // binary_cross_entropy, mean_*_error, huber
OpCases hinge_cases();            // hinge
OpCases metric_cases();           // top_k_correct, regression_errors
OpCases reduction_cases();        // tree_sum, squared_norms, scale
OpCases penalty_cases();          // add_penalty, clamp
OpCases optimizer_cases();        // sgd, adam, rmsprop, adagrad

}  // namespace lockstep::cases
