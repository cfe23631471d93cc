// Monaco's inner modules have no types; they are imported for what they register.
declare module "monaco-editor/esm/vs/*";
