{
  "variables": {
    # npm run test:sanitize: "address,undefined" builds the addon so, "thread" a program without Node instead;
    # npm run test:leak: "leak", the same program
    "espalier_sanitize%": "",
    # npm run build:simde: 1 compiles the AVX-512 libraries for AVX2 through SIMDe
    "espalier_simde%": "0",
    "common_cflags": ["-O3", "-g1", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-missing-field-initializers", "-fno-math-errno", "-ffp-contract=off", "-fvisibility=hidden"],
    "avx2_cflags": ["-mavx2", "-mfma", "-mf16c", "-fPIC"],
    "avx512_cflags": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mprefer-vector-width=512"],
  },
  "target_defaults": {
    "include_dirs": ["native"],
    "cflags": ["<@(common_cflags)"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17"],
    "cflags_cc": ["-std=gnu++20", "-fexceptions"],
    "conditions": [
      ["espalier_sanitize==''", {
        "cflags!": ["-fno-omit-frame-pointer"],
      }, {
        "cflags!": ["-O3"],
        "cflags": ["-O1", "-fsanitize=<(espalier_sanitize)", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"],
        "ldflags": ["-fsanitize=<(espalier_sanitize)"],
      }],
      ["espalier_simde==1", {
        "defines": ["ESPALIER_SIMULATED_AVX512"],
      }],
    ],
  },
  "conditions": [
    ["espalier_sanitize=='thread' or espalier_sanitize=='leak'", {
      "targets": [
        {
          "target_name": "thread_safety",
          "type": "executable",
          "product_extension": "",
          "sources": ["<!@(node scripts/list-sources.mjs core)", "<!@(node scripts/list-sources.mjs standalone)"],
          "conditions": [
            ["target_arch=='x64'", {"dependencies": ["kernels_avx2", "kernels_avx512", "kernels_avx512_bf16"]}],
          ],
        },
      ],
    }, {
      "targets": [
        {
          "target_name": "espalier",
          "include_dirs": ["<!@(node -p \"require('node-addon-api').include\")"],
          "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
          "sources": ["<!@(node scripts/list-sources.mjs core)", "<!@(node scripts/list-sources.mjs napi)"],
          "conditions": [
            ["target_arch=='x64'", {"dependencies": ["kernels_avx2", "kernels_avx512", "kernels_avx512_bf16"]}],
          ],
        },
      ],
    }],
    ["target_arch=='x64'", {
      "targets": [
        {
          "target_name": "kernels_avx2",
          "type": "static_library",
          "sources": ["<!@(node scripts/list-sources.mjs avx2)"],
          "cflags": ["<@(avx2_cflags)"],
        },
        {
          "target_name": "kernels_avx512",
          "type": "static_library",
          "sources": ["<!@(node scripts/list-sources.mjs avx512)"],
          "cflags": ["<@(avx2_cflags)"],
          "conditions": [
            ["espalier_simde==1", {
              "defines": ["ESPALIER_SIMDE"],
              "cflags": ["-Wno-psabi"],
              "sources/": [["exclude", "/ceiling_"]],
            }, {
              "cflags": ["<@(avx512_cflags)"],
            }],
          ],
        },
        {
          "target_name": "kernels_avx512_bf16",
          "type": "static_library",
          "sources": ["<!@(node scripts/list-sources.mjs avx512_bf16)"],
          "cflags": ["<@(avx2_cflags)"],
          "conditions": [
            ["espalier_simde==1", {
              "defines": ["ESPALIER_SIMDE"],
              "cflags": ["-Wno-psabi"],
              "sources/": [["exclude", "/ceiling_"]],
            }, {
              "cflags": ["<@(avx512_cflags)", "-mavx512bf16"],
            }],
          ],
        },
      ],
    }],
  ],
}
