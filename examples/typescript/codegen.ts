import type { CodegenConfig } from '@graphql-codegen/cli'

// The schema of this repository; http://127.0.0.1:8000/schema.graphql is the same, from a running server.
const config: CodegenConfig = {
  schema: process.env.KYROCHAT_SCHEMA ?? '../../schema.graphql',
  documents: ['src/**/*.ts', '!src/gql/**'],
  generates: {
    'src/gql/': {
      preset: 'client',
      // Hashes for `kyrochat documents register src/gql/persisted-documents.json`.
      presetConfig: { persistedDocuments: { hashAlgorithm: 'sha256' }, fragmentMasking: false },
      config: { enumsAsTypes: true, useTypeImports: true, scalars: { DateTime: 'string', Upload: 'File' } },
    },
  },
}

export default config
