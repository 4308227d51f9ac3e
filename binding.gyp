{
  "variables": {
    "espalier_sanitize%": "",
    "common_cflags": ["-O3", "-g1", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-missing-field-initializers", "-fno-math-errno", "-ffp-contract=off", "-fvisibility=hidden"],
  },
  "target_defaults": {
    "include_dirs": ["native"],
    "cflags!": ["-fno-omit-frame-pointer"],
    "cflags": ["<@(common_cflags)"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17"],
    "cflags_cc": ["-std=gnu++20", "-fexceptions"],
    "conditions": [
      ["espalier_sanitize!=''", {
        "cflags": ["-fsanitize=<(espalier_sanitize)", "-fno-omit-frame-pointer", "-fno-sanitize-recover=undefined", "-O1"],
        "ldflags": ["-fsanitize=<(espalier_sanitize)"],
      }],
    ],
  },
  "targets": [
    {
      "target_name": "espalier",
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "sources": ["<!@(node scripts/list-sources.mjs base)"],
      "conditions": [
        ["target_arch=='x64'", {"dependencies": ["kernels_avx2", "kernels_avx512", "kernels_avx512_bf16"]}],
      ],
    },
  ],
  "conditions": [
    ["target_arch=='x64'", {
      "targets": [
        {
          "target_name": "kernels_avx2",
          "type": "static_library",
          "sources": ["<!@(node scripts/list-sources.mjs avx2)"],
          "cflags": ["-mavx2", "-mfma", "-mf16c", "-fPIC"],
        },
        {
          "target_name": "kernels_avx512",
          "type": "static_library",
          "sources": ["<!@(node scripts/list-sources.mjs avx512)"],
          "cflags": ["-mavx2", "-mfma", "-mf16c", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mprefer-vector-width=512", "-fPIC"],
        },
        {
          "target_name": "kernels_avx512_bf16",
          "type": "static_library",
          "sources": ["<!@(node scripts/list-sources.mjs avx512_bf16)"],
          "cflags": ["-mavx2", "-mfma", "-mf16c", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mavx512bf16", "-mprefer-vector-width=512", "-fPIC"],
        },
      ],
    }],
  ],
}
