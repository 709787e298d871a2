// A script in the page itself is what the Content-Security-Policy does not allow.
SwaggerUIBundle({
  dom_id: "#docs",
  url: document.getElementById("docs").dataset.document,
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: "none", // asks nobody else what they think of the document
});
