#include "models/sequence_kinds.h"

#include <optional>

#include "models/layers/embedding.h"
#include "models/layers/mean_tokens.h"
#include "models/layers/multihead_attention.h"
#include "models/layers/positional_encoding.h"
#include "models/layers/recurrent.h"

namespace lockstep {

namespace {

using Made = std::unique_ptr<UnaryLayer>;

std::optional<std::int64_t> padding_of(const LayerKeys& keys) {
  if (!keys.has("padding")) return std::nullopt;
  return keys.integer("padding", 0);
}

Made make_embedding(const LayerKeys& keys) {
  EmbeddingOptions options;
  options.ids = keys.integer("ids");
  options.width = keys.integer("width");
  options.padding = padding_of(keys);
  if (options.padding && *options.padding >= options.ids)
    throw Error("{}", keys.message("padding",
                                   fmt::format("must be one of the ids 0 to {}", options.ids - 1)));
  return std::make_unique<Embedding>(options);
}

Made make_recurrent(RecurrentKind kind, const LayerKeys& keys) {
  RecurrentOptions options;
  options.kind = kind;
  options.hidden = keys.integer("hidden");
  options.layers = keys.integer("layers");
  options.bias = keys.flag("bias");
  options.bidirectional = keys.flag("bidirectional");
  options.dropout = keys.share("dropout");
  if (options.dropout > 0 && options.layers == 1)
    throw Error("{}", keys.message("dropout", "acts between layers, and 'layers' is 1"));
  options.sequence = keys.text("output", {"last", "sequence"}) == "sequence";
  return std::make_unique<Recurrent>(options);
}

Made make_rnn(const LayerKeys& keys) {
  const bool relu = keys.text("activation", {"tanh", "relu"}) == "relu";
  return make_recurrent(relu ? RecurrentKind::kRnnRelu : RecurrentKind::kRnnTanh, keys);
}

Made make_lstm(const LayerKeys& keys) {
  return make_recurrent(RecurrentKind::kLstm, keys);
}

Made make_gru(const LayerKeys& keys) {
  return make_recurrent(RecurrentKind::kGru, keys);
}

Made make_attention(const LayerKeys& keys) {
  AttentionOptions options;
  options.heads = keys.integer("heads");
  options.causal = keys.flag("causal");
  options.bias = keys.flag("bias");
  options.padding = padding_of(keys);
  return std::make_unique<MultiheadAttention>(options);
}

template <PositionKind kind>
Made make_positions(const LayerKeys&) {
  return std::make_unique<PositionalEncoding>(kind);
}

Made make_mean_tokens(const LayerKeys& keys) {
  return std::make_unique<MeanTokens>(padding_of(keys));
}

}  // namespace

std::vector<LayerKind> sequence_kinds() {
  const TableKey bias = {"bias", "true", "add one to each sum"};
  const std::vector<TableKey> recurrent = {
      {"hidden", "", "size of the state"},
      {"layers", "1", "one upon another"},
      bias,
      {"bidirectional", "false", "from both ends; twice as many outputs"},
      {"dropout", "0.0", "in training, of the states that one layer hands to the next"},
      {"output", "\"last\"", "the state behind the last token, or \"sequence\": behind each"}};
  std::vector<TableKey> rnn = recurrent;
  rnn.push_back({"activation", "\"tanh\"", "or \"relu\""});
  return {
      {"embedding",
       "ids (T) to rows (T, width) of a table; the first layer, for data of integers",
       {{"ids", "", "rows of the table"},
        {"width", "", "columns of the table"},
        {"padding", "(none)", "an id whose row stays zero"}},
       make_embedding},
      {"rnn", "plain recurrent layers over (T, C)", rnn, make_rnn},
      {"lstm", "long short-term memory over (T, C)", recurrent, make_lstm},
      {"gru", "gated recurrent units over (T, C)", recurrent, make_gru},
      {"attention",
       "multi-head self-attention over (T, C)",
       {{"heads", "", "must divide C"},
        {"causal", "false", "a token sees itself and those before it"},
        bias,
        {"padding", "(none)", "an id of the embedding: no token sees those of this id"}},
       make_attention},
      {"sinusoidal_positions",
       "adds sines and cosines of a token's place to (T, C)",
       {},
       make_positions<PositionKind::kSinusoidal>},
      {"learned_positions",
       "adds a learned row to each of the tokens (T, C)",
       {},
       make_positions<PositionKind::kLearned>},
      {"mean_tokens",
       "(T, C) to (C)",
       {{"padding", "(none)", "an id of the embedding: tokens of this id do not count"}},
       make_mean_tokens},
  };
}

}  // namespace lockstep
