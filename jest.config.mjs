// Tests import ../src/x.js and get dist/x.js: what is tested is what ships, worker files included.
const swc = [
  "@swc/jest",
  { jsc: { target: "es2022", parser: { syntax: "typescript" } }, module: { type: "commonjs" }, sourceMaps: "inline" },
];

export default {
  rootDir: ".",
  testMatch: ["<rootDir>/test/**/*.test.ts"],
  testPathIgnorePatterns: process.env.ESPALIER_TEST_MODELS ? [] : ["<rootDir>/test/models/"],
  moduleNameMapper: { "^(?:\\.\\./)+src/(.*)\\.js$": "<rootDir>/dist/$1.js", "^(\\.{1,2}/(?!.*dist/).*)\\.js$": "$1" },
  transform: { "^.+\\.ts$": swc, "dist/.+\\.js$": swc },
  testEnvironment: "node",
  testTimeout: 30000,
  modulePathIgnorePatterns: ["<rootDir>/prebuilds/"],
};
