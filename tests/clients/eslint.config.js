// All rules that @graphql-eslint has for schemas, at their strictest, but for those at the end.
import graphql from '@graphql-eslint/eslint-plugin'

const configs = graphql.configs
const rules = {
  ...configs['flat/schema-recommended'].rules,
  ...configs['flat/schema-relay'].rules,
  ...configs['flat/schema-all'].rules,
}

export default [
  {
    files: ['**/*.graphql'],
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema: process.env.KYROCHAT_SCHEMA } } },
    plugins: { '@graphql-eslint': graphql },
    rules: {
      ...rules,
      '@graphql-eslint/require-description': [
        'error',
        {
          types: true,
          rootField: true,
          DirectiveDefinition: true,
          EnumValueDefinition: true,
          FieldDefinition: true,
          InputValueDefinition: true,
          ScalarTypeDefinition: true,
        },
      ],
      // Short lists that never grow, like suggested questions, are plain lists; members of a workspace have no life of
      // their own.
      '@graphql-eslint/relay-edge-types': [
        'error',
        { withEdgeSuffix: true, shouldImplementNode: false, listTypeCanWrapOnlyEdgeType: false },
      ],
      // Objects that last are Nodes, whose `id` the interface asks for; the other types are values and results.
      '@graphql-eslint/strict-id-in-types': 'off',
      // A mutation on one object takes its `id`; its result is a union that always says something, `logout` but true.
      '@graphql-eslint/input-name': 'off',
      '@graphql-eslint/require-nullable-result-in-root': 'off',
      '@graphql-eslint/no-scalar-result-type-on-mutation': 'off',
      // For schemas that must not have mutations.
      '@graphql-eslint/no-root-type': 'off',
      // Fields come in the order in which people want to read them.
      '@graphql-eslint/alphabetize': 'off',
    },
  },
]
