#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "nn/encoder.h"

/// The encoder of the original Transformer, for sentences (Vaswani et al., 2017: "Attention is all you need"), with
/// d2l.ai's classes, names and arguments.
namespace bobbin {

/// Adds to each token the place where it stands, which attention by itself does not see. With i the place and 2j, 2j+1
/// the columns:
///
///     P[i, 2j] = sin(i / 10000^(2j/num_hiddens)),   P[i, 2j+1] = cos(i / 10000^(2j/num_hiddens))
struct PositionalEncoding {
  Dropout dropout;
  Tensor P;  // (1, max_len, num_hiddens); no state, since it is always the same

  /// Throws Error unless num_hiddens is even.
  PositionalEncoding(Index num_hiddens, real dropout, Rng& rng, Index max_len = 1000) : dropout(dropout, rng) {
    check(num_hiddens > 0 && num_hiddens % 2 == 0, "PositionalEncoding",
          "needs a sine and a cosine for each frequency, hence an even num_hiddens, got ", num_hiddens);
    std::vector<real> all;
    for (Index i = 0; i < max_len; ++i)
      for (Index j = 0; j < num_hiddens; j += 2) {
        const double at =
            static_cast<double>(i) / std::pow(10000, static_cast<double>(j) / static_cast<double>(num_hiddens));
        all.push_back(static_cast<real>(std::sin(at)));
        all.push_back(static_cast<real>(std::cos(at)));
      }
    P = Tensor({1, max_len, num_hiddens}, all);
  }

  /// (B, T, num_hiddens) -> the same shape. Throws Error if T is larger than max_len.
  Var operator()(const Var& X) {
    check(X.rank() == 3 && X.shape()[1] <= P.shape()[1] && X.shape()[2] == P.shape()[2], "PositionalEncoding",
          "needs (B, T, ", P.shape()[2], ") with a T of at most ", P.shape()[1], ", got ", X.shape());
    return dropout(X + slice(P, 1, 0, X.shape()[1]));
  }
  void visit(auto&& v) { v("dropout", dropout); }
};

/// Sentences (B, T) -> a vector for each of their tokens, (B, T, num_hiddens).
struct TransformerEncoder {
  Index num_hiddens;
  Embedding embedding;
  PositionalEncoding pos_encoding;
  std::vector<TransformerEncoderBlock> blks;

  /// Throws Error unless num_hiddens is even, and num_heads divide it.
  TransformerEncoder(Index vocab_size, Index num_hiddens, Index ffn_num_hiddens, int num_heads, int num_blks,
                     real dropout, bool use_bias, Rng& rng)
      : num_hiddens(num_hiddens), embedding(vocab_size, num_hiddens, rng), pos_encoding(num_hiddens, dropout, rng) {
    for (int i = 0; i < num_blks; ++i)
      blks.emplace_back(num_hiddens, ffn_num_hiddens, num_heads, dropout, use_bias, rng);
  }

  /// Of the tokens (B, T), whole numbers 0 ... vocab_size-1, those from valid_lens on are padding, which no other sees:
  /// it is empty or says how many count, of each sentence (B), or for each of its tokens (B·T).
  Var operator()(const Var& tokens, const std::vector<int>& valid_lens = {}) {
    check(tokens.rank() == 2, "TransformerEncoder", "needs tokens (B, T), got ", tokens.shape());
    // Places are numbers between -1 and 1; this makes the words as large.
    Var X = pos_encoding(embedding(tokens) * std::sqrt(static_cast<real>(num_hiddens)));
    for (TransformerEncoderBlock& blk : blks) X = blk(X, valid_lens);
    return X;
  }
  void visit(auto&& v) {
    v("embedding", embedding), v("pos_encoding", pos_encoding);
    for (std::size_t i = 0; i < blks.size(); ++i) v("blks.block" + std::to_string(i), blks[i]);
  }
};

}  // namespace bobbin
