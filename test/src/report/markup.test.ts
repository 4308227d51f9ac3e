import { escapeHtml, markup } from "../../../src/report/markup.js";

describe("markup", () => {
  it("escapes every value that is not markup", () => {
    const hostile = `<script>alert("1")</script> & 'x'`;
    const escaped = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;";
    expect(escapeHtml(hostile)).toBe(escaped);
    expect(markup`<p title="${hostile}">${hostile}</p>`.text).toBe(`<p title="${escaped}">${escaped}</p>`);
    expect(markup`<p>${markup`<b>${"<"}</b>`}</p>`.text).toBe("<p><b>&lt;</b></p>");
  });

  it("joins lists and drops what is not there", () => {
    expect(markup`${["a", markup`<i>b</i>`, ["c", 1]]}${null}${undefined}${false}`.text).toBe("a<i>b</i>c1");
  });

  it("replaces characters that cannot stand in a page", () => {
    expect(escapeHtml("a\u0000b\u001bc\n\td")).toBe("a\ufffdb\ufffdc\n\td");
  });
});
