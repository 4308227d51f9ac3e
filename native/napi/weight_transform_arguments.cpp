// SPDX-License-Identifier: Apache-2.0
#include "napi/weight_transform_arguments.h"

#include "napi/arguments.h"
#include "napi/mapped_file.h"

namespace espalier {

WeightTransform weight_transform_of(const Napi::Value& value) {
  WeightTransform transform;
  if (!value.IsObject()) return transform;
  const Arguments args(value, "transform");
  if (args.has("columnScale")) {
    const Arguments scale = args.object("columnScale");
    transform.scale_file = mapped_file_of(scale.value("file"));
    transform.scale = tensor_source_of(scale.value("source").As<Napi::Object>());
  }
  transform.rotate_columns = args.boolean("rotateColumns", false);
  transform.rotate_rows = args.boolean("rotateRows", false);
  transform.fills = args.has("fill");
  transform.fill = static_cast<float>(args.number("fill", 0));
  return transform;
}

}  // namespace espalier
