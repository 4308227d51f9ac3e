import { writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { hubSettings } from "../../../src/pull/settings.js";
import { temporaryDirectory } from "../../temporary.js";

describe("settings of pull", () => {
  it("have Hugging Face's defaults", () => {
    expect(hubSettings({}, { HF_TOKEN_PATH: "/nowhere" })).toMatchObject({
      endpoint: "https://huggingface.co",
      cacheDir: join(homedir(), ".cache/huggingface/hub"),
      token: null,
      offline: false,
    });
  });

  it.each([
    [{ HF_ENDPOINT: "https://mirror.example/hub/" }, { endpoint: "https://mirror.example/hub" }],
    [{ HF_HOME: "/h" }, { cacheDir: "/h/hub" }],
    [{ HF_HOME: "/h", HF_HUB_CACHE: "/c" }, { cacheDir: "/c" }],
    [{ XDG_CACHE_HOME: "/x" }, { cacheDir: "/x/huggingface/hub" }],
    [{ HF_TOKEN: "t", HUGGING_FACE_HUB_TOKEN: "old" }, { token: "t" }],
    [{ HF_HUB_OFFLINE: "1" }, { offline: true }],
    [{ HF_HUB_OFFLINE: "0" }, { offline: false }],
  ])("read %j", (environment, expected) => {
    expect(hubSettings({}, environment)).toMatchObject(expected);
  });

  it("find the saved token, and prefer options to everything", () => {
    const folder = temporaryDirectory();
    writeFileSync(join(folder, "token"), "saved\n");
    expect(hubSettings({}, { HF_HOME: folder }).token).toBe("saved");
    const options = { endpoint: "http://a", cacheDir: "/b", token: "c" };
    expect(hubSettings(options, { HF_ENDPOINT: "http://x", HF_HUB_CACHE: "/x", HF_TOKEN: "x" })).toMatchObject(options);
  });
});
