// quantize_matrix: ranges of all cells, their scales, then the codes; each over the pool.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <cfloat>
#include <cmath>

#include "quant/pack_panels.h"
#include "quant/scale_range.h"

namespace espalier {
namespace {

const EncodeKernel& kernel_of(Isa isa) {
#if defined(__x86_64__)
  if (isa >= Isa::kAvx512) return encode_avx512;
  if (isa >= Isa::kAvx2) return encode_avx2;
#endif
  (void)isa;
  return encode_ref;
}

template <typename F>
void for_ranges(ThreadPool* pool, int64_t count, int64_t grain, F&& body) {
  if (pool == nullptr) return body(int64_t{0}, count, 0);
  pool->run_ranges(count, grain, body);
}

// What run_at_once takes together: the weights stay in the nearest cache.
constexpr int64_t kWeightsAtOnce = 4096, kCellsAtOnce = 256;

// A piece of a row, or of the flattened matrix, under one scale.
struct Piece {
  int64_t begin, count;  // elements of the flattened matrix
  size_t cell;
};

class Quantizer {
 public:
  Quantizer(const CellCoder& coder, const QuantizeOptions& options, const float* w, ThreadPool* pool,
            QuantizedMatrix* out)
      : coder_(coder),
        options_(options),
        w_(w),
        pool_(pool),
        out_(*out),
        encode_(coder.kernel->encode[static_cast<int>(out->type)]) {}

  // False when a weight is not finite.
  bool run() {
    const bool own_cells = out_.grid.across_rows || out_.grid.row_span == 1;
    if (options_.method == RangeMethod::kMax && own_cells) return run_at_once();
    cells_.resize(out_.scales.size());
    measure();
    if (!finite_) return false;
    if (options_.method == RangeMethod::kHqq) {
      hqq_scales(w_, options_.integer_zeros, options_.scale_type, pool_, &out_);
    } else {
      if (options_.method != RangeMethod::kMax) refine();
      set_scales();
    }
    encode();
    return true;
  }

 private:
  // Rows of work that share no scale with each other.
  int64_t bands() const { return out_.grid.across_rows ? 1 : out_.scale_rows(); }

  // Calls body(piece) for the pieces of rows [row_begin, row_end), in order.
  template <typename F>
  void for_pieces(int64_t row_begin, int64_t row_end, F&& body) const {
    const int64_t span = out_.grid.col_span, cols = out_.cols;
    for (int64_t row = row_begin; row < row_end; ++row) {
      size_t cell = out_.scale_index(row, 0);
      for (int64_t col = 0; col < cols; col += span, ++cell)
        body(Piece{row * cols + col, std::min(span, cols - col), cell});
    }
  }

  // The same for cells [begin, end) of a flattened matrix.
  template <typename F>
  void for_flat(int64_t begin, int64_t end, F&& body) const {
    const int64_t span = out_.grid.col_span, total = out_.rows * out_.cols;
    for (int64_t cell = begin; cell < end; ++cell)
      body(Piece{cell * span, std::min(span, total - cell * span), static_cast<size_t>(cell)});
  }

  // Every piece over the pool; pieces of a cell are met by one thread, in order.
  template <typename F>
  void for_all(F&& body) const {
    if (out_.grid.across_rows)
      return for_ranges(pool_, static_cast<int64_t>(out_.scales.size()), 64,
                        [&](int64_t begin, int64_t end, int) { for_flat(begin, end, body); });
    for_ranges(pool_, bands(), 1, [&](int64_t begin, int64_t end, int) {
      for_pieces(begin * out_.grid.row_span, std::min(out_.rows, end * out_.grid.row_span), body);
    });
  }

  // Every cell is a run of weights: some cells at a time are read, and once more from the nearest cache. Where the
  // cells of a row end with the row, they run on through the whole matrix.
  bool run_at_once() {
    const int64_t own_span = out_.grid.col_span, total = out_.rows * out_.cols;
    const int64_t length = out_.grid.across_rows || out_.cols % own_span == 0 ? total : out_.cols;
    const int64_t span = std::min(own_span, length), cells = (length + span - 1) / span;
    const int64_t step = std::clamp<int64_t>(kWeightsAtOnce / span, 1, kCellsAtOnce);
    const int64_t chunks = (cells + step - 1) / step;
    for_ranges(pool_, total / length * chunks, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t run = i / chunks, cell = i % chunks * step, first = cell * span;
        run_cells(run * length + first, std::min(step * span, length - first), span,
                  static_cast<size_t>(run * cells + cell));
      }
    });
    return finite_;
  }

  // Weights [begin, begin + count) of the flattened matrix, in at most kCellsAtOnce cells from `cell` on.
  void run_cells(int64_t begin, int64_t count, int64_t span, size_t cell) {
    float low[kCellsAtOnce], high[kCellsAtOnce];
    if (!coder_.kernel->ranges(w_ + begin, count, span, low, high)) return note(false);
    float* scales = out_.scales.data() + cell;
    float* zeros = out_.zeros.empty() ? nullptr : out_.zeros.data() + cell;
    coder_.scales_of(low, high, (count + span - 1) / span, scales, zeros);
    encode_(w_ + begin, count, span, scales, zeros, out_.codes.data() + begin);
  }

  void note(bool finite) {
    if (!finite) finite_ = false;
  }

  void measure() {
    if (bands() == 1 && !out_.grid.across_rows && out_.rows > 1) return measure_tensor();
    for_all([&](const Piece& piece) {
      ScaleRange found;
      note(coder_.kernel->ranges(w_ + piece.begin, piece.count, piece.count, &found.low, &found.high));
      ScaleRange& range = cells_[piece.cell];
      range = {std::min(range.low, found.low), std::max(range.high, found.high)};
    });
  }

  // One band: rows go to threads, and their ranges together afterwards.
  void measure_tensor() {
    const auto columns = static_cast<int64_t>(cells_.size());
    std::vector<ScaleRange> rows(static_cast<size_t>(out_.rows * columns));
    for_ranges(pool_, out_.rows, 16, [&](int64_t begin, int64_t end, int) {
      for_pieces(begin, end, [&](const Piece& piece) {
        ScaleRange& range = rows[static_cast<size_t>(piece.begin / out_.cols * columns) + piece.cell];
        note(coder_.kernel->ranges(w_ + piece.begin, piece.count, piece.count, &range.low, &range.high));
      });
    });
    for (size_t i = 0; i < rows.size(); ++i) {
      ScaleRange& range = cells_[i % cells_.size()];
      range = {std::min(range.low, rows[i].low), std::max(range.high, rows[i].high)};
    }
  }

  // Percentile and MSE look at all weights of a cell together.
  void refine() {
    for_ranges(pool_, static_cast<int64_t>(cells_.size()), 1, [&](int64_t begin, int64_t end, int) {
      std::vector<float> values, scratch;
      std::vector<uint8_t> codes;
      for (int64_t cell = begin; cell < end; ++cell) {
        gather(cell, &values);
        const auto count = static_cast<int64_t>(values.size());
        ScaleRange& range = cells_[static_cast<size_t>(cell)];
        range = options_.method == RangeMethod::kPercentile
                    ? percentile_range(values.data(), count, options_.percentile, &scratch)
                    : least_error_range(coder_, values.data(), count, range, &codes);
      }
    });
  }

  void gather(int64_t cell, std::vector<float>* values) const {
    values->clear();
    const auto append = [&](const Piece& piece) {
      if (piece.cell == static_cast<size_t>(cell))
        values->insert(values->end(), w_ + piece.begin, w_ + piece.begin + piece.count);
    };
    if (out_.grid.across_rows) return for_flat(cell, cell + 1, append);
    const int64_t span = out_.grid.row_span, first = cell / out_.scale_cols() * span;
    for_pieces(first, std::min(out_.rows, first + span), append);
  }

  void set_scales() {
    for (size_t i = 0; i < cells_.size(); ++i) {
      const CellScale scale = coder_.scale_of(cells_[i]);
      out_.scales[i] = scale.scale;
      if (!out_.zeros.empty()) out_.zeros[i] = scale.zero;
    }
  }

  void encode() {
    const auto body = [&](const Piece& piece) {
      const float zero = out_.zero(piece.cell);
      encode_(w_ + piece.begin, piece.count, piece.count, &out_.scales[piece.cell], &zero,
              out_.codes.data() + piece.begin);
    };
    if (out_.grid.across_rows) return for_all(body);
    for_ranges(pool_, out_.rows, 16, [&](int64_t begin, int64_t end, int) { for_pieces(begin, end, body); });
  }

  const CellCoder& coder_;
  const QuantizeOptions& options_;
  const float* w_;
  ThreadPool* pool_;
  QuantizedMatrix& out_;
  EncodeFn encode_;
  std::vector<ScaleRange> cells_;
  std::atomic<bool> finite_{true};
};

float largest_of(const EncodeKernel& kernel, const float* w, int64_t rows, int64_t cols, ThreadPool* pool) {
  std::vector<float> of_rows(static_cast<size_t>(rows));
  for_ranges(pool, rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      ScaleRange range;
      kernel.ranges(w + row * cols, cols, cols, &range.low, &range.high);
      of_rows[static_cast<size_t>(row)] = std::max(-range.low, range.high);
    }
  });
  return of_rows.empty() ? 0.0f : *std::max_element(of_rows.begin(), of_rows.end());
}

Status check_options(const NumberFormat& format, const QuantizeOptions& options) {
  const std::string name = format.id;
  if (!options.symmetric && !format.can_be_asymmetric)
    return Status("ERR_ARGUMENT", name + " has no zero points: symmetric only");
  const bool blocks = options.block_rows != 0 || options.block_cols != 0;
  const bool own_blocks = options.block_rows == 1 && options.block_cols == format.group;
  const bool regroups = options.group >= 0 && options.group != format.group;
  if (format.groups_fixed && ((blocks && !own_blocks) || regroups))
    return Status("ERR_QUANT_GROUP_SIZE", format_text("%s has groups of %lld columns and no others", format.id,
                                                      static_cast<long long>(format.group)));
  if (options.method == RangeMethod::kHqq && (options.symmetric || blocks))
    return Status("ERR_ARGUMENT", "hqq finds zero points: integers in groups, asymmetric");
  if (options.method == RangeMethod::kPercentile && !(options.percentile > 0 && options.percentile <= 1))
    return Status("ERR_ARGUMENT",
                  format_text("percentile: expected above 0 and at most 1, found %g", options.percentile));
  return Status::ok();
}

}  // namespace

Status scale_grid_of(const NumberFormat& format, const QuantizeOptions& options, int64_t rows, int64_t cols,
                     ScaleGrid* grid) {
  const int64_t group = options.group >= 0 ? options.group : format.group;
  if (options.block_rows < 0) {
    *grid = {std::max<int64_t>(rows, 1), std::max<int64_t>(cols, 1), false};
    return Status::ok();
  }
  if (options.block_rows > 0) {
    *grid = {options.block_rows, options.block_cols, false};
    return options.block_cols > 0 ? Status::ok()
                                  : Status("ERR_QUANT_GROUP_SIZE", "blocks: expected two positive sizes");
  }
  if (format.across_rows) {
    const bool allowed = group >= 32 && group <= 4096 && (group & (group - 1)) == 0;
    *grid = {1, group, true};
    return allowed
               ? Status::ok()
               : Status("ERR_QUANT_GROUP_SIZE", format_text("%s: blocks of %lld; expected a power of two from 32 to "
                                                            "4096",
                                                            format.id, static_cast<long long>(group)));
  }
  *grid = {1, group == 0 ? std::max<int64_t>(cols, 1) : group, false};
  if (group == 0 || cols % group == 0) return Status::ok();
  return Status("ERR_QUANT_GROUP_SIZE", format_text("%s: groups of %lld do not divide %lld columns", format.id,
                                                    static_cast<long long>(group), static_cast<long long>(cols)));
}

Status quantize_matrix(const NumberFormat& format, const QuantizeOptions& options, const float* w, int64_t rows,
                       int64_t cols, Isa isa, ThreadPool* pool, QuantizedMatrix* out) {
  ESP_RETURN_IF_ERROR(check_options(format, options));
  QuantizedMatrix matrix;
  // New pages for the codes would take a third of the time.
  matrix.codes = std::move(out->codes);
  matrix.type = format.type;
  matrix.rows = rows;
  matrix.cols = cols;
  ESP_RETURN_IF_ERROR(scale_grid_of(format, options, rows, cols, &matrix.grid));
  matrix.codes.resize(static_cast<size_t>(rows * cols));
  matrix.scales.resize(static_cast<size_t>(matrix.scale_rows() * matrix.scale_cols()));
  if (!options.symmetric) matrix.zeros.resize(matrix.scales.size());
  const EncodeKernel& kernel = kernel_of(isa);
  if (format.global_scale != nullptr)
    matrix.global_scale = format.global_scale(largest_of(kernel, w, rows, cols, pool));
  const CellCoder coder{&format, &kernel, options.symmetric, options.scale_type, matrix.global_scale};
  if (rows > 0 && cols > 0 && !Quantizer(coder, options, w, pool, &matrix).run())
    return check_weight_values(format.id, w, rows, cols, FLT_MAX, pool);  // names the first
  // f16 scales of large weights.
  ESP_RETURN_IF_ERROR(check_quantized(matrix));
  *out = std::move(matrix);
  return Status::ok();
}

}  // namespace espalier
